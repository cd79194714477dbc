"""A bank's statement as lines, whatever form it came in, and the words its readers share."""

import re
from datetime import date
from typing import Final, Protocol

from msgspec import Struct

from gateway.domain.refusals import Refusal

# A day of a whole region has a few thousand; beyond this payers would feel the reading.
LINES_MAX: Final = 20_000
TEXT_LENGTH_MAX: Final = 1_000
AMOUNT_KOPECKS_MAX: Final = 10**17 - 1
_AMOUNT: Final = re.compile(r"[0-9]{1,15}(?:[.,][0-9]{1,2})?")
_SIGNED: Final = re.compile(r"-?[0-9]{1,15}(?:[.,][0-9]{1,2})?")


class Line(Struct, frozen=True, gc=False):
    """One movement on an account of ours, `number` from 1 as the statement has them.

    `account` is ours, `other_*` are of who paid us or was paid; None where it is not told.
    `instruction` is the id that our own message gave the order. `refers_back` is true where the
    bank itself marks the line as a return.
    """

    number: int
    is_debit: bool
    amount: int
    booked_on: date
    account: str
    order_number: str = ""
    order_date: date | None = None
    other_account: str | None = None
    other_inn: str | None = None
    other_bic: str | None = None
    purpose: str = ""
    instruction: str | None = None
    refers_back: bool = False


class Statement(Struct, frozen=True):
    """A statement that was read whole; its sums are kopecks."""

    format: str
    accounts: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def debits(self) -> int:
        """What left our accounts."""
        return sum(line.amount for line in self.lines if line.is_debit)

    @property
    def credits(self) -> int:
        """What came to them."""
        return sum(line.amount for line in self.lines if not line.is_debit)


class Reader(Protocol):
    """Reads one form of statement as its bytes come."""

    def feed(self, piece: bytes) -> None:
        """Reads on; Refusals malformed, control_total_mismatch."""

    def finish(self) -> Statement:
        """The whole; Refusals malformed, control_total_mismatch."""


def malformed(expected: str) -> Refusal:
    """The refusal of a file that is not of its form; what it says is never repeated."""
    return Refusal("malformed", f"Expected {expected} in the statement, was something else")


def mismatch(expected: str) -> Refusal:
    """The refusal of a statement that does not add up."""
    return Refusal("control_total_mismatch", f"Expected {expected}; nothing of it was taken")


def kopecks(text: str, what: str) -> int:
    """The kopecks of `1234.56`, `1234,5` or `50`; Refusal malformed."""
    if _AMOUNT.fullmatch(text) is None:
        raise malformed(f"roubles of {what}")
    return _kopecks(text)


def signed_kopecks(text: str, what: str) -> int:
    """As `kopecks`, for a balance, which may be below zero."""
    if _SIGNED.fullmatch(text) is None:
        raise malformed(f"roubles of {what}")
    return -_kopecks(text[1:]) if text.startswith("-") else _kopecks(text)


def _kopecks(text: str) -> int:
    whole, _, rest = text.replace(",", ".").partition(".")
    return int(whole) * 100 + int(rest.ljust(2, "0"))


def told(text: str | None) -> str | None:
    """A value, None where nothing is told."""
    return text or None
