"""The machine's own gate: what an approval cannot bypass, and what a named override may."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.refusals import Refusal
from gateway.payouts.plausibility import (
    Asked,
    Habit,
    Limits,
    Stands,
    check,
    hold,
    hold_orders,
)

LIMITS = Limits(
    most=10_000,
    jump_times=10,
    jump_after=3,
    jump_from=500,
    order_jump_from=400,
    first_from=300,
    changed_from=50,
)
USUAL = [90, 100, 80]
KNOWN = Habit(3, 100, "bic old")


def ask(
    amount: int,
    before: list[int],
    *,
    account: str = "bic old",
    habits: Mapping[str, Habit] | None = None,
    restored: bool = False,
    named: bool = False,
) -> str:
    """What the machine says of one order to `heat`; nothing where it passes."""
    known = {"heat": KNOWN} if habits is None else habits
    try:
        orders = {"heat": Asked(amount, account)}
        check(orders, before, known, LIMITS, restored=restored, named=named)
    except Refusal as refusal:
        return str(refusal)
    return ""


def test_the_cap_holds_for_everybody() -> None:
    assert ask(10_000, [9_000] * 5, habits={"heat": Habit(5, 9_000, "bic old")}) == ""
    assert "state_conflict: Expected at most 10000" in ask(10_001, [9_000] * 5, named=True)


@pytest.mark.parametrize(
    ("amount", "before", "is_jump"),
    [
        (1_000, USUAL, False),
        (1_001, USUAL, True),
        # Of fewer nobody knows yet what is usual.
        (1_001, USUAL[:2], False),
        (500, [1] * 30, False),
        (501, [1] * 30, True),
    ],
)
def test_a_batch_that_jumps(amount: int, before: list[int], is_jump: bool) -> None:
    habit = {"heat": Habit(30, amount, "bic old")}
    assert ("greatest before it" in ask(amount, before, habits=habit)) is is_jump
    assert ask(amount, before, habits=habit, named=True) == ""


@pytest.mark.parametrize(
    ("amount", "habit", "is_jump"),
    [
        (401, Habit(3, 40, "bic old"), True),
        (400, Habit(3, 1, "bic old"), False),
        (410, Habit(3, 41, "bic old"), False),
        (411, Habit(3, 41, "bic old"), True),
        (411, Habit(2, 41, "bic old"), False),
    ],
)
def test_an_order_that_jumps_for_its_recipient(amount: int, habit: Habit, is_jump: bool) -> None:
    before = [5_000] * 3
    said = ask(amount, before, habits={"heat": habit})
    assert ("411 kopecks to heat are more" in said or "401 kopecks to heat are" in said) is is_jump
    assert ask(amount, before, habits={"heat": habit}, named=True) == ""


def test_the_first_payout_to_somebody() -> None:
    before = [5_000]
    assert ask(300, before, habits={}) == ""
    assert "301 kopecks to heat are its first payout" in ask(301, before, habits={})
    assert ask(301, before, habits={}, named=True) == ""
    # A centre that has paid nobody yet pays everybody for the first time.
    assert ask(9_999, [], habits={}) == ""


def test_another_account_than_was_paid_last() -> None:
    before = [5_000]
    assert ask(50, before, account="bic new") == ""
    assert "for another account" in ask(51, before, account="bic new")
    assert ask(51, before, account="bic old") == ""
    assert ask(51, before, account="bic new", named=True) == ""


def test_what_came_out_of_a_backup_may_have_been_paid_since() -> None:
    assert "backup" in ask(10, USUAL, restored=True)
    assert ask(10, USUAL, restored=True, named=True) == ""


def test_no_more_than_five_are_told_by_name() -> None:
    orders = {f"r{n}": Asked(301, "a") for n in range(7)}
    with pytest.raises(Refusal, match=r"r4 are its first payout; and 2 more$"):
        check(orders, [5_000], {}, LIMITS, restored=False, named=False)


def held(owed: Mapping[str, int], stands: Mapping[str, Stands], together: int = 0) -> str:
    try:
        hold(owed, together, stands)
    except Refusal as refusal:
        return str(refusal)
    return ""


def paid(amount: int) -> Stands:
    return Stands(amount, 0, may_wait=False)


def carried(amount: int, may_wait: bool = False) -> Stands:
    return Stands(0, amount, may_wait)


def test_each_recipient_is_paid_what_it_is_owed_or_carries_it() -> None:
    owed = {"a": 5, "b": -3, "c": 2, "d": 0}
    right = {"a": paid(5), "b": carried(-3), "c": carried(2, may_wait=True), "d": carried(0)}
    assert held(owed, right) == ""
    # A kopeck too much here that is made good there is still wrong.
    wrong = right | {"a": paid(6), "c": carried(1, may_wait=True)}
    assert "ledger_mismatch: Expected 5 kopecks for a," in held(owed, wrong)
    assert "for c," in held(owed, right | {"c": carried(2)})
    assert "for c," in held(owed, {one: right[one] for one in "abd"})
    assert "for e," in held(owed, right | {"e": paid(1)})
    assert "for b," in held(owed, right | {"b": carried(-4)})
    assert "2 kopecks more" in held(owed, right, together=2)


AMOUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(-1_000, 1_000), min_size=2)


@given(AMOUNTS, st.data())
def test_no_two_wrongs_make_a_right(owed: dict[str, int], data: st.DataObject) -> None:
    right = {one: paid(amount) if amount > 0 else carried(amount) for one, amount in owed.items()}
    assert held(owed, right) == ""
    first, second = data.draw(st.permutations(sorted(owed)))[:2]
    off = data.draw(st.integers(1, 500))

    def bent(whose: str, by: int) -> Stands:
        amount = owed[whose] + by
        return paid(amount) if amount > 0 else carried(amount)

    wrong = {**right, first: bent(first, off), second: bent(second, -off)}
    assert held(owed, wrong) != ""


def test_there_is_one_order_for_each_that_is_paid() -> None:
    stands = {"a": paid(5), "b": paid(7), "c": carried(-1)}

    def orders(*asked: tuple[str, int]) -> str:
        try:
            hold_orders(stands, asked)
        except Refusal as refusal:
            return refusal.detail
        return ""

    assert orders(("a", 5), ("b", 7)) == ""
    assert "7 kopecks for b, was 8" in orders(("a", 5), ("b", 8))
    assert "4" in orders(("a", 4), ("b", 8))
    assert "for b, was none" in orders(("a", 5))
    assert "0 kopecks for a, was 5" in orders(("a", 5), ("b", 7), ("a", 5))
    assert "0 kopecks for c, was 1" in orders(("a", 5), ("b", 7), ("c", 1))
