"""Refunds: largest remainder over what is left, so that the last one returns all exactly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitcore import AMOUNT_MAX, SplitError, refund
from tests.splitcore.drawn import CASES, QUIET, kopecks


@pytest.mark.parametrize(
    ("shares", "refunded", "amount", "back"),
    [
        ([60, 40], [0, 0], 100, [60, 40]),
        ([60, 40], [0, 0], 5, [3, 2]),
        ([60, 40], [59, 0], 1, [0, 1]),
        ([1, 1, 1], [0, 0, 0], 1, [1, 0, 0]),
        ([1, 1, 1], [1, 0, 0], 1, [0, 1, 0]),
        ([0, 7], [0, 7 - 2], 2, [0, 2]),
        ([AMOUNT_MAX - 1, 1], [0, 0], AMOUNT_MAX, [AMOUNT_MAX - 1, 1]),
    ],
)
def test_refund(shares: list[int], refunded: list[int], amount: int, back: list[int]) -> None:
    assert refund(shares, refunded, amount) == back


@pytest.mark.parametrize(
    ("code", "shares", "refunded", "amount"),
    [
        ("malformed", [1], [], 1),
        ("malformed", [1], [2], 1),
        ("malformed", [1], [-1], 1),
        ("malformed", [AMOUNT_MAX + 1], [0], 1),
        ("malformed", [1.0], [0], 1),
        ("malformed", [1], [False], 1),
        ("malformed", [1], [0], 1.0),
        ("malformed", [1], [0], True),
        ("amount_out_of_range", [1], [0], 0),
        ("amount_out_of_range", [1], [0], AMOUNT_MAX + 1),
        ("amount_out_of_range", [1], [0], 2**70),
        ("refund_exceeds_payment", [1], [0], 2),
        ("refund_exceeds_payment", [5, 5], [5, 4], 2),
        ("refund_exceeds_payment", [], [], 1),
    ],
)
def test_refund_refused(code: str, shares: list[int], refunded: list[int], amount: int) -> None:
    with pytest.raises(SplitError) as refused:
        refund(shares, refunded, amount)
    assert refused.value.code == code


@pytest.mark.hypothesis
@settings(QUIET, max_examples=max(50, CASES // 500))
@given(st.lists(kopecks(high=10**11), min_size=1, max_size=30).filter(any), st.data())
def test_refunds_that_add_up_return_every_share(shares: list[int], data: st.DataObject) -> None:
    refunded = [0] * len(shares)
    for turn in range(6):
        left = sum(shares) - sum(refunded)
        if left == 0:
            break
        amount = left if turn == 5 else data.draw(st.integers(1, left))
        for i, back in enumerate(refund(shares, refunded, amount)):
            assert 0 <= back <= shares[i] - refunded[i]
            refunded[i] += back
    assert refunded == shares
