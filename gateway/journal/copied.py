"""Keys and payments as the bytes that a binary COPY takes.

Columns stand in an order that puts those of one size together, and last what is the same for a
whole group.
"""

from collections.abc import Sequence
from datetime import datetime
from struct import Struct as Layout
from typing import Final

import orjson

from gateway.domain.payment import PaymentRequest
from gateway.journal.idempotency import route_number
from gateway.journal.rows import AcceptedRow, Cut
from gateway.storage.binary_copy import LENGTH, NULL, field, joined, moment

KEY_COLUMNS: Final = (*("caller", "route", "resource", "fingerprint", "key", "subscriber_account"),)
PAYMENT_COLUMNS: Final = (
    *("id", "caller", "method", "amount", "surcharge", "total", "commission"),
    *("bill", "plan", "sequence", "shares", "commissions", "subscriber_account", "facts"),
    *("paid_at", "designation", "reference", "accepted_at", "settlement_batch", "terms_version"),
)

_KEY_FIELDS: Final = len(KEY_COLUMNS)
_PAYMENT_FIELDS: Final = len(PAYMENT_COLUMNS)
# The number of fields, then lengths and contents.
_KEY: Final = Layout(">hiiihi16si16si").pack
_PAYMENT: Final = Layout(">hi16siiihiqiqiqiq").pack
_ON_BILL: Final = Layout(">iqiiiii").pack
_SUSPENSE: Final = 5 * NULL
_OF_GROUP: Final = Layout(">iiiq").pack


def keys(requests: Sequence[PaymentRequest]) -> bytes:
    """Rows of the requests' keys, in the order given."""
    pieces: list[bytes] = []
    for request in requests:
        claim = request.claim
        key, account = claim.key.encode(), request.subscriber_account.encode()
        fixed = _KEY(
            _KEY_FIELDS,
            4,
            claim.caller,
            2,
            route_number(claim),
            16,
            request.id.bytes,
            16,
            claim.fingerprint,
            len(key),
        )
        pieces += (fixed, key, LENGTH(len(account)), account)
    return joined(pieces)


def payments(cut: Cut, accepted_at: datetime, rows: Sequence[AcceptedRow]) -> bytes:
    """Rows of accepted payments."""
    pieces: list[bytes] = []
    of_group = moment(accepted_at) + _OF_GROUP(4, cut.settlement_batch, 8, cut.terms_version)
    for request, split, amount, surcharge, bill, sequence in rows:
        account, facts = request.subscriber_account.encode(), request.facts
        paid_at, reference = request.paid_at, request.reference
        fixed = _PAYMENT(
            _PAYMENT_FIELDS,
            16,
            request.id.bytes,
            4,
            request.claim.caller,
            2,
            request.method,
            8,
            amount,
            8,
            surcharge,
            8,
            amount + surcharge,
            8,
            0 if split is None else split.commission,
        )
        if split is None or bill is None:
            pieces += (fixed, _SUSPENSE)
        else:
            shares, withheld = split.packed_parts, split.packed_commissions
            on_bill = _ON_BILL(8, bill.bill, 4, bill.plan, 4, sequence, len(shares))
            pieces += (fixed, on_bill, shares, NULL if withheld is None else field(withheld))
        pieces += (
            LENGTH(len(account)),
            account,
            LENGTH(len(facts)),
            facts,
            NULL if paid_at is None else moment(paid_at),
            field(designation(request)) if request.designation else NULL,
            NULL if reference is None else field(reference.encode()),
            of_group,
        )
    return joined(pieces)


def designation(request: PaymentRequest) -> bytes:
    """What the payer named for single services, as it is kept: JSON."""
    return orjson.dumps(dict(request.designation))
