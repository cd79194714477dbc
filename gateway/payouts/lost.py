"""Lines of a statement about orders that the database has lost (pure): found, matched, told once.

A database that was put back knows nothing of what was paid since. The bank does: its lines name the
batch in their purpose, or the payout by the id we gave it.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Protocol, TypeVar
from uuid import UUID

from gateway.domain.ids import PAYOUT, SETTLEMENT_BATCH, shown
from gateway.payouts.matching import batches_of, instruction_of, is_return, numbers_of
from gateway.payouts.statements.lines import Line

Identity = tuple[bool, date, str, str, int]


class Paid(Protocol):
    """A line of before that may have been told of already, or be given back."""

    @property
    def came(self) -> bool:
        """Whether money came."""

    @property
    def amount(self) -> int:
        """Kopecks."""

    @property
    def booked_on(self) -> date:
        """The day of the bank."""

    @property
    def payer(self) -> str:
        """Our account."""

    @property
    def order_number(self) -> str:
        """As the bank told it."""

    @property
    def account(self) -> str | None:
        """Whose account it was paid to, or came from."""

    @property
    def bic(self) -> str | None:
        """That account's bank."""


AnyPaid = TypeVar("AnyPaid", bound=Paid)


def names(line: Line, paid: Mapping[UUID, bool]) -> str | None:
    """What a line that is no payout of ours names of ours, as it is shown; None for nothing.

    `paid` are the batches that are there, and whether they were approved, so have orders.
    """
    for batch in batches_of(line):
        if not paid.get(batch, False):
            return shown(SETTLEMENT_BATCH, batch)
    named = instruction_of(line)
    return None if named is None else shown(PAYOUT, named)


def identity(line: Line) -> Identity:
    """By what a line is known again in another statement, whatever its form."""
    number = line.order_number.lstrip("0")
    return (not line.is_debit, line.booked_on, line.account, number, line.amount)


def identity_of(one: Paid) -> Identity:
    """The same of a line that is kept."""
    return (one.came, one.booked_on, one.payer, one.order_number.lstrip("0"), one.amount)


def gives_back(line: Line, paid: Iterable[AnyPaid]) -> AnyPaid | None:
    """The order, of those that were paid and not given back, that a line gives back."""
    numbers = {str(number) for number in numbers_of(line)}
    for one in paid:
        if one.came or one.amount != line.amount or one.order_number.lstrip("0") not in numbers:
            continue
        same = line.other_account is not None and line.other_account == one.account
        if same or (is_return(line) and _same_bank(line, one)):
            return one
    return None


def _same_bank(line: Line, one: Paid) -> bool:
    return line.other_bic is None or one.bic is None or line.other_bic == one.bic
