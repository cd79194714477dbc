"""Rows of bills and open bills as the bytes that a binary COPY takes.

Most of a row is the same for all bills of a form, and most of what is left is the same in both
tables: each is put into bytes once, and the columns stand in an order that allows it.
"""

from collections.abc import Sequence, Set
from datetime import datetime
from struct import Struct as Layout
from typing import Final, NamedTuple

from msgspec import Struct

from gateway.domain.packed_bill import BillForm, PackedBill
from gateway.storage.binary_copy import LENGTH, NULL, field, joined, moment

BILL_COLUMNS: Final = (
    *("number", "subscriber_account", "counts_from", "loaded_after", "due", "weight", "payer"),
    *("period", "plan", "overpayment", "as_of", "loaded_by", "loaded_at"),
)
OPEN_COLUMNS: Final = (
    *("bill", "subscriber_account", "counts_from", "sequence", "due", "weight", "paid"),
    *("period", "plan", "overpayment"),
)

_COUNT: Final = Layout(">h").pack
_SMALL: Final = Layout(">ih").pack
_INTEGER: Final = Layout(">ii").pack
_NUMBER_AND_LENGTH: Final = Layout(">iqi").pack
_COUNTS_AND_LENGTH: Final = Layout(">iiiii").pack
_JSONB: Final = b"\x01"
_BILL: Final = _COUNT(len(BILL_COLUMNS))
_OPEN: Final = _COUNT(len(OPEN_COLUMNS))


class BillRow(Struct, frozen=True, gc=False):
    """A bill ready to be stored; `sequence` is the account's at this moment, `paid` is packed."""

    bill: PackedBill
    plan: int
    sequence: int
    counts_from: int
    paid: bytes


class Copied(NamedTuple):
    """What COPY takes: for `bills`, and for open bills where there was none and where there was."""

    bills: bytes
    first: bytes | None
    following: bytes | None


def copied(
    rows: Sequence[BillRow], numbers: Sequence[int], opened: Set[str], caller: int, at: datetime
) -> Copied:
    """The rows with their bills' numbers; `opened` are the accounts that have an open bill.

    All rows of one form have the plan of the first.
    """
    bills: list[bytes] = []
    first: list[bytes] = []
    following: list[bytes] = []
    by = _INTEGER(4, caller) + moment(at)
    forms: dict[BillForm, tuple[bytes, bytes]] = {}
    for row, number in zip(rows, numbers, strict=True):
        bill = row.bill
        of_form = forms.get(bill.form)
        if of_form is None:
            of_form = forms[bill.form] = _form_bytes(bill.form, row.plan, by)
        account = bill.subscriber_account.encode()
        due = bill.due
        shared = b"".join(
            (
                _NUMBER_AND_LENGTH(8, number, len(account)),
                account,
                _COUNTS_AND_LENGTH(4, row.counts_from, 4, row.sequence, len(due)),
                due,
                NULL if bill.weight is None else field(bill.weight),
            )
        )
        payer = NULL if bill.payer is None else _jsonb(bill.payer)
        bills += (_BILL, shared, payer, of_form[0])
        paid = row.paid
        to_open = following if bill.subscriber_account in opened else first
        to_open += (_OPEN, shared, LENGTH(len(paid)), paid, of_form[1])
    return Copied(
        joined(bills), joined(first) if first else None, joined(following) if following else None
    )


def _form_bytes(form: BillForm, plan: int, by: bytes) -> tuple[bytes, bytes]:
    """The last fields of a bill and of an open bill, which are the same for all of a form."""
    period = form.period.encode()
    as_of = NULL if form.as_of is None else moment(form.as_of)
    shared = LENGTH(len(period)) + period + _INTEGER(4, plan) + _SMALL(2, form.overpayment)
    return shared + as_of + by, shared


def _jsonb(text: str) -> bytes:
    return field(_JSONB + text.encode())
