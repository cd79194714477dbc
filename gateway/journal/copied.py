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
from gateway.storage.binary_copy import joined, microseconds, moment
from splitcore import FieldRows

KEY_COLUMNS: Final = (*("caller", "route", "resource", "fingerprint", "key", "subscriber_account"),)
PAYMENT_COLUMNS: Final = (
    *("id", "caller", "method", "amount", "surcharge", "total", "commission"),
    *("bill", "plan", "sequence", "shares", "commissions", "subscriber_account", "facts"),
    *("paid_at", "designation", "reference", "accepted_at", "settlement_batch", "terms_version"),
)

# A payment in suspense: no commission, and nothing of a bill.
_SUSPENSE: Final = (0, None, None, None, None, None)
_KEYS: Final = FieldRows("ihbbtt", 0)
# A payment's own fields, then those of its group.
_PAYMENTS: Final = FieldRows("bihqqqqqiibbtbqbt", 3)
_OF_GROUP: Final = Layout(">iiiq").pack


def keys(requests: Sequence[PaymentRequest]) -> bytes:
    """Rows of the requests' keys, in the order given."""
    rows = [
        (
            claim.caller,
            route_number(claim),
            request.id.bytes,
            claim.fingerprint,
            claim.key,
            request.subscriber_account,
        )
        for request in requests
        for claim in (request.claim,)
    ]
    return joined((_KEYS.packed(rows, b""),))


def payments(cut: Cut, accepted_at: datetime, rows: Sequence[AcceptedRow]) -> bytes:
    """Rows of accepted payments."""
    of_group = moment(accepted_at) + _OF_GROUP(4, cut.settlement_batch, 8, cut.terms_version)
    return joined((_PAYMENTS.packed(map(_payment, rows), of_group),))


def _payment(row: AcceptedRow) -> tuple[object, ...]:
    """A payment's own fields."""
    request, split, bill = row.request, row.allocation, row.bill
    amount, surcharge, paid_at = row.amount, row.surcharge, request.paid_at
    on_bill: tuple[object, ...] = _SUSPENSE
    if split is not None and bill is not None:
        on_bill = (
            split.commission,
            bill.bill,
            bill.plan,
            row.sequence,
            split.packed_parts,
            split.packed_commissions,
        )
    return (
        request.id.bytes,
        request.claim.caller,
        request.method,
        amount,
        surcharge,
        amount + surcharge,
        *on_bill,
        request.subscriber_account,
        request.facts,
        None if paid_at is None else microseconds(paid_at),
        designation(request) if request.designation else None,
        request.reference,
    )


def designation(request: PaymentRequest) -> bytes:
    """What the payer named for single services, as it is kept: JSON."""
    return orjson.dumps(dict(request.designation))
