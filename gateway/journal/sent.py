"""A commit group's payments as the bytes of one parameter, an array of sent_payment.

asyncpg takes 0.2 µs for each field of a row that it is given as a tuple, and a microsecond to look
at the row before: a fifth of what a payment cost its worker.
"""

from collections.abc import Callable, Sequence
from struct import Struct as Layout
from typing import Any, Final

from gateway.journal import copied
from gateway.journal.idempotency import route_number
from gateway.journal.rows import AcceptedRow, PaidBill
from gateway.storage.binary_copy import LENGTH, NULL, field, moment

_TYPES: Final = "SELECT 'sent_payment[]'::regtype::oid, 'sent_payment'::regtype::oid"
_FIELDS: Final = 21
# Numbers of PostgreSQL's own types, which stand before each field.
_BYTEA, _INT8, _INT2, _INT4, _TEXT, _JSON, _MOMENT, _UUID = 17, 20, 21, 23, 25, 114, 1184, 2950
# Of an array: dimensions, whether it has nulls, a row's type, how many rows, the first's place.
_ARRAY: Final = Layout(">iiIii").pack
_FIRST: Final = Layout(">iii16siiiiihiihiiqiiqiiqii16s").pack
_ON_BILL: Final = Layout(">iiqiiiiiiii").pack
_SUSPENSE: Final = b"".join(LENGTH(kind) + NULL for kind in (_INT8, _INT4, _INT4, _BYTEA, _BYTEA))
_SEEN: Final = Layout(">iiiii").pack
_NOT_LAST: Final = LENGTH(_INT4) + NULL + LENGTH(_BYTEA) + NULL
_OF_BYTES, _OF_TEXT, _OF_JSON, _OF_MOMENT = (
    LENGTH(kind) for kind in (_BYTEA, _TEXT, _JSON, _MOMENT)
)
_TEXT_FIELD: Final = Layout(">ii").pack


async def send_as_bytes(conn: Any) -> None:
    """Makes a connection one that takes `rows` where a statement has an array of sent_payment."""
    array, row = await conn.fetchrow(_TYPES)
    # What set_type_codec calls, which lets nobody make the bytes of an array.
    conn._protocol.get_settings().add_python_codec(
        array, "_sent_payment", "public", [], "scalar", _array_of(row), bytes, "binary"
    )


def _array_of(element: int) -> Callable[[Sequence[bytes]], bytes]:
    """What makes an array of rows whose type has this number."""

    def joined(rows: Sequence[bytes]) -> bytes:
        pieces = [_ARRAY(1, 0, element, len(rows), 1)]
        for row in rows:
            pieces += (LENGTH(len(row)), row)
        return b"".join(pieces)

    return joined


def rows(payments: Sequence[AcceptedRow], paid: Sequence[PaidBill]) -> list[bytes]:
    """The payments in the order given; the last of its account tells what is paid on the bill."""
    last = {one.bill.subscriber_account: one for one in paid}
    return [_row(payment, last) for payment in payments]


def _row(payment: AcceptedRow, last: dict[str, PaidBill]) -> bytes:
    request, split, bill, sequence = (
        payment.request,
        payment.allocation,
        payment.bill,
        payment.sequence,
    )
    claim = request.claim
    key, account, facts = claim.key.encode(), request.subscriber_account.encode(), request.facts
    paid_at, reference = request.paid_at, request.reference
    first = _FIRST(
        _FIELDS,
        _UUID,
        16,
        request.id.bytes,
        _INT4,
        4,
        claim.caller,
        _INT2,
        2,
        route_number(claim),
        _INT2,
        2,
        request.method,
        _INT8,
        8,
        payment.amount,
        _INT8,
        8,
        payment.surcharge,
        _INT8,
        8,
        0 if split is None else split.commission,
        _BYTEA,
        16,
        claim.fingerprint,
    )
    on_bill, then_paid = _SUSPENSE, _NOT_LAST
    if split is not None and bill is not None:
        shares, withheld = split.packed_parts, split.packed_commissions
        on_bill = b"%b%b%b%b" % (
            _ON_BILL(
                _INT8, 8, bill.bill, _INT4, 4, bill.plan, _INT4, 4, sequence, _BYTEA, len(shares)
            ),
            shares,
            _OF_BYTES,
            NULL if withheld is None else field(withheld),
        )
        one = last[request.subscriber_account]
        if one.sequence == sequence:
            then_paid = _SEEN(_INT4, 4, one.bill.sequence, _BYTEA, len(one.paid)) + one.paid
    return b"".join(
        (
            first,
            on_bill,
            then_paid,
            _TEXT_FIELD(_TEXT, len(key)),
            key,
            _TEXT_FIELD(_TEXT, len(account)),
            account,
            _TEXT_FIELD(_JSON, len(facts)),
            facts,
            _OF_MOMENT,
            NULL if paid_at is None else moment(paid_at),
            _OF_JSON,
            field(copied.designation(request)) if request.designation else NULL,
            _OF_TEXT,
            NULL if reference is None else field(reference.encode()),
        )
    )
