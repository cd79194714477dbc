"""Lines of a statement about orders that the database has lost (pure): found, matched, told once.

A database that was put back knows nothing of what was paid since. The bank does: its lines name the
batch in their purpose, or the payout by the id we gave it.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Protocol, TypeVar
from uuid import UUID

from gateway.domain.ids import PAYOUT, SETTLEMENT_BATCH, read_id, shown
from gateway.payouts.matching import (
    RETURNED,
    Known,
    batches_of,
    instruction_of,
    judge,
    numbers_of,
)
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
    def order_date(self) -> date | None:
        """The day of the order."""

    @property
    def named(self) -> str | None:
        """What the line names of ours."""

    @property
    def inn(self) -> str | None:
        """Of whom it was paid to."""

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


def gives_back(line: Line, paid: Sequence[AnyPaid], payer_bic: str | None) -> AnyPaid | None:
    """The order, of those that were paid and not given back, that a line gives back: by the same
    rules as of payouts that are there.
    """
    known = [
        _as_known(place, one, payer_bic)
        for place, one in enumerate(paid)
        if one.order_number.isascii() and one.order_number.isdigit() and not one.came
    ]
    numbers = set(numbers_of(line))
    spoken = [one for one in known if one.order_number in numbers]
    found = judge(line, spoken, set())
    if found.kind != RETURNED or found.payout is None:
        return None
    return paid[found.payout.settlement_batch]


def _as_known(place: int, one: Paid, payer_bic: str | None) -> Known:
    """As a payout that was executed; in place of its batch stands its place in the list."""
    nobody = UUID(int=place)
    return Known(
        id=nobody if one.named is None else read_id(PAYOUT, one.named) or nobody,
        settlement_batch=place,
        batch_id=nobody,
        recipient=0,
        recipient_id="",
        state="executed",
        amount=one.amount,
        order_number=int(one.order_number),
        order_date=one.order_date or one.booked_on,
        account=one.account or "",
        inn=one.inn or "",
        bic=one.bic or "",
        payer_account=one.payer,
        payer_bic=payer_bic,
        executed_on=one.booked_on,
        returned_on=None,
    )
