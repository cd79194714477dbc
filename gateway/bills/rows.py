"""Rows of bills and open bills as the bytes that a binary COPY takes.

Most of a row is the same for all bills of a form, and most of what is left is the same in both
tables: each is put into bytes once, and the columns stand in an order that allows it. Handing
asyncpg a tuple a row costs three times as much.
"""

from collections.abc import Sequence, Set
from datetime import UTC, datetime
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from gateway.domain.packed_bill import BillForm, PackedBill

BILL_COLUMNS: Final = (
    *("number", "subscriber_account", "counts_from", "loaded_after", "due", "weight", "payer"),
    *("period", "plan", "overpayment", "as_of", "loaded_by", "loaded_at"),
)
OPEN_COLUMNS: Final = (
    *("bill", "subscriber_account", "counts_from", "sequence", "due", "weight", "paid"),
    *("period", "plan", "overpayment"),
)

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_COUNT: Final = Layout(">h").pack
_LENGTH: Final = Layout(">i").pack
_SMALL: Final = Layout(">ih").pack
_INTEGER: Final = Layout(">ii").pack
_MOMENT: Final = Layout(">iq").pack
_NUMBER_AND_LENGTH: Final = Layout(">iqi").pack
_COUNTS_AND_LENGTH: Final = Layout(">iiiii").pack
_JSONB: Final = b"\x01"
_BILL: Final = _COUNT(len(BILL_COLUMNS))
_OPEN: Final = _COUNT(len(OPEN_COLUMNS))
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class BillRow(Struct, frozen=True, gc=False):
    """A bill ready to be stored; `sequence` is the account's at this moment, `paid` is packed."""

    bill: PackedBill
    plan: int
    sequence: int
    counts_from: int
    paid: bytes


def copied(
    rows: Sequence[BillRow], numbers: Sequence[int], opened: Set[str], caller: int, at: datetime
) -> tuple[bytes, bytes]:
    """What COPY takes for `bills`, and for `open_bills` less the accounts that are `opened`.

    All rows of one form have the plan of the first.
    """
    bills = [_SIGNATURE]
    open_bills = [_SIGNATURE]
    by = _INTEGER(4, caller) + _moment(at)
    tails: dict[BillForm, bytes] = {}
    for row, number in zip(rows, numbers, strict=True):
        bill = row.bill
        form = bill.form
        tail = tails.get(form)
        if tail is None:
            tail = tails[form] = _form_bytes(form, row.plan)
        account = bill.subscriber_account.encode()
        due = bill.due
        shared = b"".join(
            (
                _NUMBER_AND_LENGTH(8, number, len(account)),
                account,
                _COUNTS_AND_LENGTH(4, row.counts_from, 4, row.sequence, len(due)),
                due,
                _NULL if bill.weight is None else _LENGTH(len(bill.weight)) + bill.weight,
            )
        )
        payer = _NULL if bill.payer is None else _jsonb(bill.payer)
        as_of = _NULL if form.as_of is None else _moment(form.as_of)
        bills += (_BILL, shared, payer, tail, as_of, by)
        if bill.subscriber_account not in opened:
            open_bills += (_OPEN, shared, _LENGTH(len(row.paid)), row.paid, tail)
    bills.append(_END)
    open_bills.append(_END)
    return b"".join(bills), b"".join(open_bills)


def _form_bytes(form: BillForm, plan: int) -> bytes:
    period = form.period.encode()
    return _LENGTH(len(period)) + period + _INTEGER(4, plan) + _SMALL(2, form.overpayment)


def _jsonb(text: str) -> bytes:
    content = _JSONB + text.encode()
    return _LENGTH(len(content)) + content


def _moment(at: datetime) -> bytes:
    """Microseconds since 2000, which is how a timestamptz is kept."""
    since = at - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    return _MOMENT(8, seconds * 1_000_000 + since.microseconds)
