"""Agreements: what was agreed with a recipient or an acquirer, from a day on (pure).

A version is proposed, then approved or rejected by another person; it never changes.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Final
from uuid import UUID

from msgspec import Struct

from gateway.domain.party import BankAccount
from splitcore import FeeRule

CONTRACT_LENGTH_MAX: Final = 160
CATEGORY_LENGTH_MAX: Final = 64
TARIFFS_MAX: Final = 256
CARRY_DAYS_MAX: Final = 31
# Of supplier-bound money: PP RF 253 lets a sum below 5,000 roubles wait five working days.
CARRY_DAYS: Final = 5
REPORT_FORMATS: Final = ("csv", "json", "xlsx")


class Tariff(Struct, frozen=True):
    """One cell: what is taken of payments by a channel (a method's number) of a payer category.

    None is any channel, any category. `above` is paid by the payer on top, `below` withheld from
    the recipient; None is nothing.
    """

    channel: int | None
    category: str | None
    above: FeeRule | None
    below: FeeRule | None


class SecondLevelPercent(Struct, frozen=True):
    """Who else gets how many parts per million of the recipient's charges; None: every service."""

    service: str | None
    recipient: str
    ppm: int


class Requisites(Struct, frozen=True):
    """Whom and where to pay by an agreement, instead of the recipient's own requisites."""

    name: str
    inn: str
    kpp: str | None
    bank_account: BankAccount


class Agreement(Struct, frozen=True):
    """A version as it is proposed. Exactly one of `recipient` and `acquirer` is told.

    Days are local in `time_zone`, `valid_until` the last one. `minimum_payout` is in kopecks.
    """

    recipient: str | None
    acquirer: str | None
    contract: str
    valid_from: date
    valid_until: date | None
    time_zone: str
    cut_off: time | None
    tariffs: tuple[Tariff, ...]
    second_level: tuple[SecondLevelPercent, ...]
    requisites: Requisites | None
    minimum_payout: int
    carry_days: int
    report_format: str | None


class Decision(Struct, frozen=True):
    """What another person decided: `approved` or `rejected`, when, who (a name) and why."""

    state: str
    at: datetime
    by: str
    reason: str | None
    terms_version: int | None


class AgreementVersion(Struct, frozen=True):
    """A stored version with what became of it; `decision` is None while it is proposed."""

    id: UUID
    content: Agreement
    begins_at: datetime
    ends_at: datetime | None
    proposed_at: datetime
    proposed_by: str
    decision: Decision | None

    @property
    def state(self) -> str:
        """`proposed`, `approved` or `rejected`."""
        return "proposed" if self.decision is None else self.decision.state


Cells = Mapping[tuple[int | None, str | None], Tariff]


class Tariffs(Struct, frozen=True):
    """The cells of one approved version, and when it holds: from `begins_at` until `ends_at`."""

    begins_at: datetime
    ends_at: datetime | None
    valid_from: date
    terms_version: int
    cells: Cells

    def holds(self, moment: datetime) -> bool:
        """Whether the version holds at a moment."""
        return self.begins_at <= moment and (self.ends_at is None or moment < self.ends_at)


def cells_of(tariffs: Iterable[Tariff]) -> dict[tuple[int | None, str | None], Tariff]:
    """Cells by channel and category."""
    return {(tariff.channel, tariff.category): tariff for tariff in tariffs}


def in_force(versions: Iterable[Tariffs], moment: datetime) -> Tariffs | None:
    """Of the versions that hold at a moment the one that began last, of one day the newest."""
    held = [version for version in versions if version.holds(moment)]
    return max(held, key=lambda one: (one.valid_from, one.terms_version), default=None)


def cell(cells: Cells, channel: int, category: str | None) -> Tariff | None:
    """The cell of a payment: the one that names most.

    The payer counts more than the channel: who is exempt is so whatever way is paid.
    """
    if category is not None:
        for key in ((channel, category), (None, category)):
            if key in cells:
                return cells[key]
    return cells.get((channel, None)) or cells.get((None, None))
