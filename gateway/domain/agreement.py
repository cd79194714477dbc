"""Agreements: what was agreed with a recipient or an acquirer, from a day on (pure).

A version is proposed, then approved or rejected by another person; it never changes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from gateway.domain.party import BankAccount
from splitcore import FeeRule, fee

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


Cells = dict[tuple[int | None, str | None], Tariff]


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


def tariffs_of(rows: Iterable[Mapping[str, Any]]) -> dict[int, list[Tariffs]]:
    """Versions by recipient number, out of rows of the view agreement_terms: a row a cell, and one
    without place for a version without cells.
    """
    found: dict[int, dict[int, Tariffs]] = {}
    for row in rows:
        versions = found.setdefault(row["recipient"], {})
        version = versions.get(row["terms_version"])
        if version is None:
            version = versions[row["terms_version"]] = Tariffs(
                row["begins_at"], row["ends_at"], row["valid_from"], row["terms_version"], {}
            )
        if row["place"] is not None:
            key = (row["channel"], row["payer_category"])
            version.cells[key] = Tariff(*key, _rule(row, "above"), _rule(row, "below"))
    return {recipient: list(versions.values()) for recipient, versions in found.items()}


def _rule(row: Mapping[str, Any], side: str) -> FeeRule | None:
    if row[side + "_ppm"] is None:
        return None
    return FeeRule(*(row[f"{side}_{name}"] for name in ("ppm", "fixed", "min", "max")))


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


class Above(Struct, frozen=True):
    """How payers are charged where agreements say so: a rule for each recipient of the plan.

    `own[i]`: None for a recipient that its agreement lets be paid without a surcharge. `covered[i]`
    is false for one whose payers are charged by `rest`, on all such recipients' money together.
    """

    own: tuple[FeeRule | None, ...]
    covered: tuple[bool, ...]
    rest: FeeRule | None

    def surcharge(self, gross: Sequence[int]) -> int:
        """Kopecks on top of what the recipients get; nothing for one that gets nothing."""
        together = 0
        charged = 0
        for kopecks, rule, covered in zip(gross, self.own, self.covered, strict=True):
            if not covered:
                together += kopecks
            elif rule is not None and kopecks:
                charged += fee(kopecks, rule)
        if together and self.rest is not None:
            charged += fee(together, self.rest)
        return charged


class PlanTariff(Struct, frozen=True):
    """What one channel's payments by one plan are charged: commission rules by recipient, and
    `above` where agreements say what their payers pay; else the method's own surcharge counts.
    """

    commissions: tuple[FeeRule | None, ...]
    above: Above | None


def plan_tariff(
    cells: Sequence[Tariff | None],
    commissions: Sequence[FeeRule | None],
    rest: FeeRule | None,
) -> PlanTariff:
    """The tariff of a plan's recipients by their cells (None: no agreement says anything).

    Without a cell a recipient's own commission counts, and the method's surcharge (`rest`).
    """
    below = tuple(
        rule if one is None else one.below for one, rule in zip(cells, commissions, strict=True)
    )
    if all(one is None for one in cells):
        return PlanTariff(below, None)
    own = tuple(None if one is None else one.above for one in cells)
    return PlanTariff(below, Above(own, tuple(one is not None for one in cells), rest))


def amount_within(
    total: int, least: int, most: int, surcharge: Callable[[int], int | None]
) -> tuple[int, int]:
    """(amount, surcharge) of a total that a payer hands over: an amount that fits with its
    surcharge where one kopeck more does not. What is left over joins the surcharge.

    Amounts are looked for in `least`..`most`; `surcharge` is None of one that cannot be split.
    Where none fits, and where the next kopeck cannot be split though it would fit, the amount is
    one that the split refuses, with no surcharge.
    """
    begun = surcharge(least)
    if begun is None:
        return least, 0
    if least + begun > total:
        return least - 1, 0
    low, high, charged = least, most + 1, begun
    while high - low > 1:
        middle = (low + high) // 2
        found = surcharge(middle)
        if found is not None and middle + found <= total:
            low, charged = middle, found
        else:
            high = middle
    if low < most and low + 1 + charged <= total and surcharge(low + 1) is None:
        return low + 1, 0
    return low, total - low
