"""What a company's earnings pay on its debts: worked examples in kopecks, then against a reference.

The reference gives a kopeck at a time, so it is slow and plain.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.refusals import InvariantBroken
from gateway.obligations.covering import Debt, Earned, cover, nets
from splitcore.reference import hamilton

HEAT, WATER = 71, 72


def debt(number: int, remaining: int, *services: str, creditor: int = HEAT) -> Debt:
    return Debt(number, creditor, frozenset(services), remaining)


def earned(
    shared: dict[str, int],
    refunded: dict[str, int] | None = None,
    commission: int = 0,
    before: int = 0,
) -> Earned:
    return Earned(shared, refunded or {}, commission, before)


BOTH = {"heating": 100_000, "water": 50_000}
# What it pins; what was earned; debts in their order; (debt, service, kopecks).
EXAMPLES = [
    ("less than the debt goes whole", earned({"heating": 99_999}), [debt(1, 500_000)],
     [(1, "heating", 99_999)]),
    ("of more than the debt the rest stays", earned({"heating": 100_000}), [debt(1, 40_001)],
     [(1, "heating", 40_001)]),
    ("only named services pay", earned(BOTH), [debt(1, 120_000, "water")],
     [(1, "water", 50_000)]),
    ("a debt on all services takes them by name", earned(BOTH), [debt(1, 120_000)],
     [(1, "heating", 100_000), (1, "water", 20_000)]),
    ("the oldest first, each to its end", earned({"heating": 100_000}),
     [debt(5, 30_000), debt(2, 50_000, creditor=WATER), debt(1, 90_000)],
     [(5, "heating", 30_000), (2, "heating", 50_000), (1, "heating", 20_000)]),
    ("what an earlier debt took is gone for the next", earned(BOTH),
     [debt(1, 70_000, "heating"), debt(2, 70_000, "heating"), debt(3, 70_000, "water")],
     [(1, "heating", 70_000), (2, "heating", 30_000), (3, "water", 50_000)]),
    ("refunds come off first", earned({"heating": 100_000}, {"heating": 30_000}),
     [debt(1, 100_000)], [(1, "heating", 70_000)]),
    ("refunds of named services count together", earned(BOTH, {"water": 70_000}),
     [debt(1, 200_000, "heating", "water")], [(1, "heating", 80_000)]),
    ("refunds of other services hold back what could not be paid",
     earned(BOTH, {"water": 120_000}), [debt(1, 200_000, "heating")], [(1, "heating", 30_000)]),
    ("nothing of a loss", earned({"heating": 10}, {"heating": 20}), [debt(1, 5)], []),
    ("commission comes off in proportion: 1000.00 and 500.00 bear 2.00 and 1.00",
     earned(BOTH, commission=300), [debt(1, 200_000, "heating"), debt(2, 200_000, "water")],
     [(1, "heating", 99_800), (2, "water", 49_900)]),
    ("a kopeck of commission goes by the largest remainder, the first name at a tie",
     earned({"a": 10, "b": 10}, commission=1), [debt(1, 100, "a"), debt(2, 100, "b")],
     [(1, "a", 9), (2, "b", 10)]),
    ("a balance below zero is made good before debts", earned({"heating": 100}, before=-40),
     [debt(1, 100)], [(1, "heating", 60)]),
    ("money that came back pays no debts", earned({"heating": 100}, before=1_000),
     [debt(1, 700)], [(1, "heating", 100)]),
    ("money that came back does not hide a refund", earned(BOTH, {"water": 60_000}, before=10_000),
     [debt(1, 200_000, "heating")], [(1, "heating", 100_000)]),
    ("a service it earned nothing of", earned(BOTH), [debt(1, 100, "gas")], []),
    ("beyond what one payment may be", earned({"a": 7 * 10**15, "b": 10**15}, commission=10**13),
     [debt(1, 10**13)], [(1, "a", 10**13)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "had", "debts", "expected"), EXAMPLES, ids=[example[0] for example in EXAMPLES]
)
def test_worked_examples(
    what: str, had: Earned, debts: list[Debt], expected: list[tuple[int, str, int]]
) -> None:
    found = cover(debts, had)
    assert [(one.number, one.service, one.amount) for one in found] == expected
    creditors = {one.number: one.creditor for one in debts}
    assert all(one.creditor == creditors[one.number] for one in found)


def test_commission_of_nothing_is_a_fault_of_ours() -> None:
    with pytest.raises(InvariantBroken):
        nets(earned({}, commission=1))


def test_commission_that_corrections_gave_back_is_added() -> None:
    assert nets(earned({"a": 20, "b": 10}, {"b": 100}, commission=-6)) == {"a": 24, "b": -88}
    assert nets(earned({}, {"a": 20, "b": 10}, commission=-3)) == {"a": -18, "b": -9}
    assert nets(earned({"a": 1}, {"b": 10}, commission=3)) == {"a": -2, "b": -10}


NAMES = st.sampled_from(["a", "b", "c", "ё"])
KOPECKS = st.integers(0, 40)
DEBTS = st.lists(
    st.tuples(st.integers(1, 60), st.frozensets(NAMES, max_size=3), st.sampled_from([HEAT, WATER])),
    max_size=5,
)


@st.composite
def earnings(draw: st.DrawFn) -> Earned:
    shared = draw(st.dictionaries(NAMES, KOPECKS))
    refunded = draw(st.dictionaries(NAMES, KOPECKS))
    commission = draw(st.integers(0, sum(shared.values())))
    return Earned(shared, refunded, commission, draw(st.integers(-50, 50)))


def by_the_kopeck(debts: list[Debt], had: Earned) -> dict[tuple[int, str], int]:
    """A kopeck after another, to the first debt that may have it from the first that can give."""
    names = sorted({*had.shared, *had.refunded})
    weights = [had.shared.get(name, 0) for name in names]
    withheld = hamilton(had.commission, weights) if had.commission else [0] * len(names)
    left = {
        name: weight - had.refunded.get(name, 0) - kept
        for name, weight, kept in zip(names, weights, withheld, strict=True)
    }
    payable = had.before + sum(left.values())
    given: dict[tuple[int, str], int] = {}
    for one in debts:
        named = [name for name in names if name in one.services or not one.services]
        for _ in range(one.remaining):
            if payable < 1 or sum(left[name] for name in named) < 1:
                break
            name = next(name for name in named if left[name] > 0)
            left[name] -= 1
            payable -= 1
            given[one.number, name] = given.get((one.number, name), 0) + 1
    return given


@given(had=earnings(), told=DEBTS)
def test_random_debts_are_paid_as_by_the_kopeck(
    had: Earned, told: list[tuple[int, frozenset[str], int]]
) -> None:
    debts = [Debt(at, who, named, owed) for at, (owed, named, who) in enumerate(told)]
    found = cover(debts, had)
    assert {(one.number, one.service): one.amount for one in found} == by_the_kopeck(debts, had)
    assert len(found) == len({(one.number, one.service) for one in found})
    paid = sum(one.amount for one in found)
    whole = sum(nets(had).values())
    assert whole == sum(had.shared.values()) - sum(had.refunded.values()) - had.commission
    assert 0 <= paid <= max(0, had.before + whole)
