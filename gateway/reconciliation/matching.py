"""Which lines of statements bring the money of which reports and payments (pure), to the kopeck.

Besides who pays, which every line here has been found by, two facts have to agree: the sum, and the
payment order, the day or the operation that is named. Where neither line nor report names any, sum
and time must single each other out. What is in doubt stays open, for people.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from gateway.reconciliation.terms import ArrivalTerms

ORDER: Final = "order"
DAY: Final = "day"
DAYS: Final = "days"
SUM: Final = "sum"
OPERATION: Final = "operation"
# Without a name a line is looked for among reports of so many days before it, and of one after.
_WINDOW: Final = timedelta(days=14)
_AHEAD: Final = timedelta(days=1)

Order = tuple[str, date | None]


class Line(Struct, frozen=True, gc=False):
    """An acquirer's line that nothing was found for yet; its sum is kopecks."""

    statement: UUID
    number: int
    amount: int
    booked_on: date
    order: Order | None
    operations: tuple[str, ...] = ()
    days: tuple[date, ...] = ()


class Expected(Struct, frozen=True, gc=False):
    """A report whose money is awaited: `amount` is what payers gave, `due` what is to come of it
    to the kopeck, None where its file does not tell the fee that is withheld. `count` are its rows,
    `order` is of the payment order that its footer names.
    """

    report: UUID
    amount: int
    due: int | None
    count: int
    order: Order | None
    days: tuple[date, date] | None
    received_on: date


class Paid(Struct, frozen=True, gc=False):
    """A payment whose money is awaited, by what an operation is called."""

    payment: UUID
    subscriber_account: str
    total: int
    operation: str


class Covered(Struct, frozen=True, gc=False):
    """What arrives: a report or a payment, how much came of it, and how much was withheld."""

    subject: UUID
    amount: int
    withheld: int
    subscriber_account: str | None = None


class Match(Struct, frozen=True):
    """Lines that add up to what is covered; `rule` says how they were brought together."""

    rule: str
    lines: list[Line]
    covered: list[Covered]


Fits = Callable[[Line, Expected], bool]


def match_reports(
    lines: Sequence[Line], reports: Sequence[Expected], terms: ArrivalTerms
) -> list[Match]:
    """Each line and each report at most once."""
    matcher = _Matcher(lines, reports, terms)
    matcher.by_order()
    matcher.by_day()
    matcher.by_days()
    matcher.by_sum()
    return matcher.found


def match_payments(
    lines: Sequence[Line], payments: Sequence[Paid], terms: ArrivalTerms
) -> list[Match]:
    """A line a payment, which it names by its operation; each at most once."""
    known: defaultdict[str, dict[UUID, Paid]] = defaultdict(dict)
    for one in payments:
        known[one.operation][one.payment] = one
    found: list[Match] = []
    taken: set[UUID] = set()
    for line in lines:
        named = {id_: one for name in line.operations for id_, one in known[name].items()}
        if len(named) != 1:
            continue
        (paid,) = named.values()
        withheld = paid.total - line.amount
        kept = terms.fee == "withheld" and terms.fee_fits(paid.total, withheld, 1)
        if paid.payment in taken or withheld < 0 or not (withheld == 0 or kept):
            continue
        taken.add(paid.payment)
        covered = Covered(paid.payment, line.amount, withheld, paid.subscriber_account)
        found.append(Match(OPERATION, [line], [covered]))
    return found


class _Matcher:
    """The lines and reports that are left after each rule."""

    def __init__(
        self, lines: Sequence[Line], reports: Sequence[Expected], terms: ArrivalTerms
    ) -> None:
        self.found: list[Match] = []
        self._lines = {(line.statement, line.number): line for line in lines}
        self._reports = {one.report: one for one in reports}
        self._terms = terms
        # Lines whose own order is that of a report they do not add up to: nothing else is theirs.
        self._bound: set[tuple[UUID, int]] = set()

    def by_order(self) -> None:
        """Lines and reports of one payment order, by whatever number of either."""
        by_order: defaultdict[str, list[Expected]] = defaultdict(list)
        for one in self._reports.values():
            if one.order is not None:
                by_order[one.order[0]].append(one)
        for number, reports in by_order.items():
            for day in dict.fromkeys(one.order[1] for one in reports if one.order is not None):
                drawn = [one for one in reports if one.order == (number, day)]
                lines = [
                    line for line in self._lines.values() if _is_of(line, number, day)
                ]  # fmt: skip
                if lines and not self._agree(ORDER, lines, drawn):
                    self._bound.update((line.statement, line.number) for line in lines)

    def by_day(self) -> None:
        """One line, one report of the day that it names, and no other of the same sum."""
        self._one_to_one(DAY, _named)

    def by_days(self) -> None:
        """All lines that name the same days, and all reports of these days, by whatever orders."""
        by_days: defaultdict[tuple[date, ...], list[Line]] = defaultdict(list)
        for line in self._lines.values():
            if line.days:
                by_days[line.days].append(line)
        for days, lines in by_days.items():
            span = days[0], days[-1]
            inside = [
                one
                for one in self._reports.values()
                if one.days is not None and span[0] <= one.days[0] and one.days[1] <= span[1]
            ]
            self._agree(DAYS, lines, inside)

    def by_sum(self) -> None:
        """A line that names no day and no report, and the only report of its sum and time."""

        def near(line: Line, one: Expected) -> bool:
            last = one.received_on if one.days is None else one.days[1]
            soon = last - _AHEAD <= line.booked_on <= last + _WINDOW
            return not line.days and soon

        self._one_to_one(SUM, near)

    def _one_to_one(self, rule: str, fits: Fits) -> None:
        by_sum: defaultdict[int | None, list[Expected]] = defaultdict(list)
        for one in self._reports.values():
            by_sum[one.due].append(one)
        pairs = [
            (line, one)
            for line in self._free()
            for one in (*by_sum[line.amount], *by_sum[None])
            if self._brings(line.amount, one) and not _contradict(line, one) and fits(line, one)
        ]
        of_line = Counter((line.statement, line.number) for line, _ in pairs)
        of_report = Counter(one.report for _, one in pairs)
        for line, one in pairs:
            if of_line[line.statement, line.number] == 1 and of_report[one.report] == 1:
                self._take(rule, [line], [(one, line.amount)])

    def _brings(self, amount: int, one: Expected) -> bool:
        if one.due is not None:
            return amount == one.due
        withheld = one.amount - amount
        return withheld >= 0 and self._terms.fee_fits(one.amount, withheld, one.count)

    def _agree(self, rule: str, lines: list[Line], reports: list[Expected]) -> bool:
        """Takes them together where they add up."""
        if not lines or not reports:
            return False
        if len(lines) == 1 and len(reports) == 1 and self._brings(lines[0].amount, reports[0]):
            self._take(rule, lines, [(reports[0], lines[0].amount)])
            return True
        dues = [one.due for one in reports if one.due is not None]
        if len(dues) < len(reports) or sum(dues) != sum(line.amount for line in lines):
            return False
        self._take(rule, lines, list(zip(reports, dues, strict=True)))
        return True

    def _take(self, rule: str, lines: list[Line], brought: list[tuple[Expected, int]]) -> None:
        for line in lines:
            del self._lines[line.statement, line.number]
        covered = []
        for one, amount in brought:
            del self._reports[one.report]
            covered.append(Covered(one.report, amount, max(one.amount - amount, 0)))
        self.found.append(Match(rule, lines, covered))

    def _free(self) -> list[Line]:
        return [line for key, line in self._lines.items() if key not in self._bound]


def _is_of(line: Line, number: str, day: date | None) -> bool:
    """Whether a line is of this payment order; a bank may not tell when that was drawn."""
    if line.order is None or line.order[0] != number:
        return False
    drawn = line.order[1]
    if drawn is not None or day is None:
        return drawn is None or day is None or drawn == day
    return day <= line.booked_on <= day + _WINDOW


def _named(line: Line, one: Expected) -> bool:
    if one.days is None:
        return False
    first, last = one.days
    return any(first <= day <= last for day in line.days)


def _contradict(line: Line, one: Expected) -> bool:
    """Whether both name a payment order, and not the same."""
    return line.order is not None and one.order is not None and line.order[0] != one.order[0]


def of_order(number: str | None, day: date | None) -> Order | None:
    """A payment order as it is compared: without zeros before its number, None where it has
    none.
    """
    if number is None or not number.isascii() or not number.isdigit():
        return None
    bare = number.lstrip("0")
    return (bare, day) if bare else None


def operations(lines: Iterable[Line]) -> list[str]:
    """All that these lines name operations by."""
    return sorted({name for line in lines for name in line.operations})
