"""What the property tests draw: kopecks that love edges, fee rules, bills and their payments."""

import os
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from splitcore import AMOUNT_MAX, PPM, FeeRule

# Cases that a differential property must have compared before it may pass.
CASES = int(os.environ.get("KOPECK_TEST_EXAMPLES", "100000"))
QUIET = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

_EDGES = sorted({2**k + near for k in range(44) for near in (-1, 0, 1)} | {3, 10, 99, 100, 101})


def kopecks(low: int = 0, high: int = AMOUNT_MAX) -> st.SearchStrategy[int]:
    """Integers from low to high: near 0, near powers of two, everyday sums, near the limit."""
    edges = [edge for edge in (*_EDGES, high - 1, high) if low <= edge <= high]
    return st.one_of(
        st.sampled_from(edges),
        st.integers(low, min(high, 500_000)),
        st.integers(low, high),
    )


def fee_rules() -> st.SearchStrategy[FeeRule]:
    def ordered(ppm: int, fixed: int, least: int, span: int | None) -> FeeRule:
        most = None if span is None else min(AMOUNT_MAX, least + span)
        return FeeRule(ppm, fixed, least, most)

    small = st.one_of(st.just(0), st.integers(0, 3_000), kopecks())
    ppm = st.one_of(st.sampled_from([0, 1, 10_000, 333_333, PPM - 1, PPM]), st.integers(0, PPM))
    return st.builds(ordered, ppm, small, small, st.one_of(st.none(), small))


class Bill(NamedTuple):
    """A bill as both backends take it: a plan's arguments, its rules, and its vectors."""

    tiers: list[int]
    services: list[int]
    parts: list[list[tuple[int, int]]]
    rules: list[FeeRule | None]
    due: list[int]
    weight: list[int] | None
    paid: list[int]
    overpayment: int


@st.composite
def second_levels(draw: st.DrawFn, recipients: int) -> list[tuple[int, int]]:
    """Parts of one charge; most charges have one, a few share with up to sixteen more."""
    entries = []
    left = PPM
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 1, 2, 16]))):
        ppm = min(left, draw(st.sampled_from([0, 1, 50_000, 333_333, 500_000, left // 2, left])))
        entries.append((draw(st.integers(0, recipients - 1)), ppm))
        left -= ppm
    return [*entries, (draw(st.integers(0, recipients - 1)), left)]


@st.composite
def bills(draw: st.DrawFn) -> Bill:
    n = draw(st.sampled_from([1, 2, 3, 7, 8, 8, 8, 9, 12, 17, 33]))
    recipients = draw(st.integers(1, n + 2))
    many: Any = {"min_size": n, "max_size": n}
    tiers = draw(
        st.one_of(
            st.just([0] * n),
            st.lists(st.sampled_from([0, 1, 2, 255]), **many),
            st.lists(st.sampled_from([0, 1, 2, 255]), **many).map(sorted),
        )
    )
    parts = [draw(second_levels(recipients)) for _ in range(n)]
    count = 1 + max(recipient for of_charge in parts for recipient, _ in of_charge)
    own_service = st.just(list(range(n)))
    sums = st.one_of(st.lists(kopecks(), **many), st.lists(st.integers(0, 400_000), **many))
    return Bill(
        tiers=tiers,
        services=draw(st.one_of(own_service, st.lists(st.integers(0, n - 1), **many))),
        parts=parts,
        rules=[draw(st.one_of(st.none(), st.none(), fee_rules())) for _ in range(count)],
        due=draw(sums),
        weight=draw(st.one_of(st.none(), st.just([0] * n), sums)),
        paid=draw(st.one_of(st.just([0] * n), sums)),
        overpayment=draw(st.sampled_from([-1, -1, -1, -2, n - 1])),
    )


class Pay(NamedTuple):
    """A payment as both backends take it."""

    amount: int
    is_total: bool
    surcharge: FeeRule | None
    designation: list[tuple[int, int]] | None


def payments(bill: Bill, rule: FeeRule, drawn: list[int]) -> list[Pay]:
    """Payments around what matters to the bill: each tier's sum, what is owed, the limits."""
    owed = [max(0, due - paid) for due, paid in zip(bill.due, bill.paid, strict=True)]
    sums = [
        sum(kopecks for kopecks, tier in zip(owed, bill.tiers, strict=True) if tier <= until)
        for until in sorted(set(bill.tiers))
    ]
    amounts = {near + step for near in sums for step in (-1, 0, 1)}
    amounts |= {near // share for near in sums for share in (2, 3, 7)}
    amounts |= {kopecks + step for kopecks in owed[:8] for step in (0, 1)}
    amounts |= {1, 2, len(owed), sums[-1] * 2, AMOUNT_MAX, *drawn}
    rows = []
    services = sorted(set(bill.services))
    for i, amount in enumerate(sorted(amounts)):
        named = [(service, drawn[k % len(drawn)]) for k, service in enumerate(services[: i % 4])]
        small = [(service, amount // (i + 2)) for service in services[:i]]
        rows.append(Pay(amount, False, None, None))
        rows.append(Pay(amount, i % 2 == 0, rule, None))
        rows.append(Pay(amount, False, rule, [*small[: i % 7]] if i % 3 else named))
    return rows
