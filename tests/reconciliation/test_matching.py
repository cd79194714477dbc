"""Lines and reports brought together, against the rules told once more in the plainest way."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from gateway.reconciliation.matching import (
    Expected,
    Line,
    Match,
    Paid,
    match_payments,
    match_reports,
)
from gateway.reconciliation.terms import ArrivalTerms

BEGIN = date(2026, 11, 9)
days = st.integers(0, 4).map(lambda n: BEGIN + timedelta(n))
sums = st.sampled_from((100, 101, 200, 201, 300))
orders = st.none() | st.tuples(st.sampled_from(("7", "8", "9")), st.none() | days)
spans = st.none() | st.tuples(days, st.integers(0, 2)).map(lambda s: (s[0], s[0] + timedelta(s[1])))
WITHHELD = ArrivalTerms(comes="by_report", payer_inn="7707083893", fee_ppm=10_000)
NOTHING_AGREED = ArrivalTerms(comes="by_report", payer_inn="7707083893")
Brought = set[tuple[str, frozenset[int], frozenset[tuple[int, int]]]]


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    names = draw(st.lists(st.tuples(sums, days, orders, st.lists(days, max_size=2)), max_size=6))
    return [
        Line(UUID(int=n % 2), n, amount, booked, order, (), tuple(sorted(set(named))))
        for n, (amount, booked, order, named) in enumerate(names)
    ]


@st.composite
def reports(draw: st.DrawFn) -> list[Expected]:
    told = draw(st.lists(st.tuples(sums, st.booleans(), orders, spans, days), max_size=6))
    return [
        Expected(
            UUID(int=n), amount, amount - amount // 100 if is_told else None, 1, order, span, at
        )
        for n, (amount, is_told, order, span, at) in enumerate(told)
    ]


def brings(amount: int, one: Expected, terms: ArrivalTerms) -> bool:
    """A line alone is the money of a report alone: what the file says, or the fee agreed."""
    if one.due is not None:
        return amount == one.due
    fee = one.amount - amount
    return fee == 0 if terms.fee_ppm is None else fee >= 0 and abs(100 * fee - one.amount) <= 50


def plainly(told: Sequence[Line], awaited: Sequence[Expected], terms: ArrivalTerms) -> Brought:
    """The four rules, each over everything that is left, by looking at every pair."""
    left, due = list(told), list(awaited)
    found: Brought = set()
    bound: list[Line] = []

    def take(rule: str, some: list[Line], of: list[Expected]) -> bool:
        alone = len(some) == len(of) == 1 and brings(some[0].amount, of[0], terms)
        whole = sum(line.amount for line in some)
        together = bool(some and of) and all(one.due is not None for one in of)
        if not alone and not (together and sum(one.due or 0 for one in of) == whole):
            return False
        got = frozenset((o.report.int, some[0].amount if alone else o.due or 0) for o in of)
        found.add((rule, frozenset(line.number for line in some), got))
        for line in some:
            left.remove(line)
        for one in of:
            due.remove(one)
        return True

    # The orders that reports name, each with its day.
    for number in dict.fromkeys(one.order[0] for one in due if one.order):
        for day in dict.fromkeys(o.order[1] for o in due if o.order and o.order[0] == number):
            some = [line for line in left if is_of(line, number, day)]
            if some and not take("order", some, [o for o in due if o.order == (number, day)]):
                bound += some

    def pairs(fits: Callable[[Line, Expected], bool]) -> list[tuple[Line, Expected]]:
        possible = [
            (line, one)
            for line in left
            for one in due
            if line not in bound
            and brings(line.amount, one, terms)
            and fits(line, one)
            # An order that both name has to be the same.
            and not (line.order and one.order and line.order[0] != one.order[0])
        ]
        return [
            (line, one)
            for line, one in possible
            if sum(a is line for a, _ in possible) == sum(b is one for _, b in possible) == 1
        ]

    for line, one in pairs(
        lambda line, o: o.days is not None and any(o.days[0] <= d <= o.days[1] for d in line.days)
    ):
        take("day", [line], [one])
    for named in dict.fromkeys(line.days for line in left if line.days):
        some = [line for line in left if line.days == named]
        take("days", some, [
            o for o in due if o.days and named[0] <= o.days[0] and o.days[1] <= named[-1]
        ])  # fmt: skip
    for line, one in pairs(lambda line, o: not line.days and is_near(line.booked_on, o)):
        take("sum", [line], [one])
    return found


def is_of(line: Line, number: str, day: date | None) -> bool:
    if line.order is None or line.order[0] != number:
        return False
    if line.order[1] and day:
        return line.order[1] == day
    # A bank that does not tell when an order was drawn books it within a fortnight.
    return not day or bool(line.order[1]) or 0 <= (line.booked_on - day).days <= 14


def is_near(booked: date, one: Expected) -> bool:
    last = one.days[1] if one.days else one.received_on
    return -1 <= (booked - last).days <= 14


def as_found(matches: Sequence[Match]) -> Brought:
    return {
        (
            match.rule,
            frozenset(line.number for line in match.lines),
            frozenset((one.subject.int, one.amount) for one in match.covered),
        )
        for match in matches
    }


@given(lines(), reports(), st.sampled_from((WITHHELD, NOTHING_AGREED)))
def test_random_statements_are_matched_as_the_plain_rules_say(
    told: list[Line], awaited: list[Expected], terms: ArrivalTerms
) -> None:
    found = match_reports(told, awaited, terms)
    assert as_found(found) == plainly(told, awaited, terms)


@given(lines(), reports(), st.sampled_from((WITHHELD, NOTHING_AGREED)))
def test_no_kopeck_comes_twice_or_from_nowhere(
    told: list[Line], awaited: list[Expected], terms: ArrivalTerms
) -> None:
    found = match_reports(told, awaited, terms)
    amounts = {one.report: one.amount for one in awaited}
    used = [(line.statement, line.number) for match in found for line in match.lines]
    came = [one.subject for match in found for one in match.covered]
    assert len(used) == len(set(used))
    assert len(came) == len(set(came))
    for match in found:
        assert sum(line.amount for line in match.lines) == sum(one.amount for one in match.covered)
        for one in match.covered:
            assert one.amount > 0
            assert one.amount + one.withheld == amounts[one.subject]


@st.composite
def by_payment(draw: st.DrawFn) -> tuple[list[Line], list[Paid]]:
    names = st.sampled_from(("a", "b", "c", "d"))
    told = draw(st.lists(st.tuples(sums, st.lists(names, max_size=2)), max_size=6))
    paid = draw(st.lists(st.tuples(sums, names), max_size=6))
    return (
        [Line(UUID(int=0), n, s, BEGIN, None, tuple(named)) for n, (s, named) in enumerate(told)],
        [Paid(UUID(int=n), str(n), total, name) for n, (total, name) in enumerate(paid)],
    )


@given(by_payment())
def test_a_line_a_payment_that_alone_is_named_and_of_that_sum(
    drawn: tuple[list[Line], list[Paid]],
) -> None:
    told, paid = drawn
    expected, gone = [], set()
    for line in told:
        named = [one for one in paid if one.operation in line.operations]
        if len(named) == 1 and line.amount == named[0].total and named[0].payment not in gone:
            gone.add(named[0].payment)
            expected.append((line.number, named[0].payment))
    terms = ArrivalTerms(comes="by_payment", payer_inn="7707083893")
    found = match_payments(told, paid, terms)
    assert [(m.lines[0].number, m.covered[0].subject) for m in found] == expected
