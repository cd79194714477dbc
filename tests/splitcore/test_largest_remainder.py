"""Largest remainder: its table, its properties, and an oracle in exact fractions."""

import math
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from splitcore import AMOUNT_MAX, PARTS_MAX, SplitError, largest_remainder
from tests.splitcore.drawn import CASES, QUIET, kopecks


@pytest.mark.parametrize(
    ("rule", "total", "weights", "shares"),
    [
        ("in proportion", 100, [1, 1, 2], [25, 25, 50]),
        ("the larger fraction gets the kopeck", 10, [6, 5], [5, 5]),
        ("ties to the lower index", 10, [1, 1, 1], [4, 3, 3]),
        ("two kopecks over four equals", 2, [1, 1, 1, 1], [1, 1, 0, 0]),
        ("a weight of 0 never receives", 2, [0, 1, 0], [0, 2, 0]),
        ("no kopeck, no share", 0, [5, 7], [0, 0]),
        ("one weight takes all", 7, [3], [7]),
        ("a total above the weights", 1_000, [1, 2], [333, 667]),
        ("three sevenths of a kopeck", 3, [1, 2, 4], [0, 1, 2]),
        ("products beyond 64 bits", AMOUNT_MAX, [AMOUNT_MAX, 1], [AMOUNT_MAX - 1, 1]),
        ("ties beyond 64 bits", AMOUNT_MAX - 1, [AMOUNT_MAX] * 2, [AMOUNT_MAX // 2] * 2),
    ],
)
def test_rule(rule: str, total: int, weights: list[int], shares: list[int]) -> None:
    if rule == "ties beyond 64 bits":
        shares = [AMOUNT_MAX // 2, AMOUNT_MAX // 2 - 1]
    assert largest_remainder(total, weights) == shares


@pytest.mark.parametrize("count", [2, 8, 9, 16, 17, 32, 33, 256, PARTS_MAX])
@pytest.mark.parametrize("weight", [1, 400_000, AMOUNT_MAX])
def test_equal_weights_give_the_first_ones_the_kopecks_left(count: int, weight: int) -> None:
    total = 3 * count + count // 2
    expected = [4] * (count // 2) + [3] * (count - count // 2)
    assert largest_remainder(total, [weight] * count) == expected


@pytest.mark.parametrize(
    ("code", "total", "weights"),
    [
        ("malformed", 1.0, [1]),
        ("malformed", True, [1]),
        ("malformed", "1", [1]),
        ("malformed", 1, [1, 1.0]),
        ("malformed", 1, [True]),
        ("malformed", 1, [1] * (PARTS_MAX + 1)),
        ("amount_out_of_range", -1, [1]),
        ("amount_out_of_range", AMOUNT_MAX + 1, [-1]),
        ("amount_out_of_range", 2**70, [1]),
        ("weight_out_of_range", 1, [1, -1]),
        ("weight_out_of_range", 1, [AMOUNT_MAX + 1]),
        ("weight_out_of_range", 1, [2**70]),
        ("nothing_to_allocate", 1, [0, 0]),
        ("nothing_to_allocate", 0, []),
    ],
)
def test_refusal(code: str, total: int, weights: list[int]) -> None:
    with pytest.raises(SplitError) as refused:
        largest_remainder(total, weights)
    assert refused.value.code == code


def oracle(total: int, weights: list[int]) -> list[int]:
    """The definition once more, in exact fractions."""
    quotas = [Fraction(total) * weight / sum(weights) for weight in weights]
    shares = [math.floor(quota) for quota in quotas]
    for _ in range(total - sum(shares)):
        gaps = [quota - share for quota, share in zip(quotas, shares, strict=True)]
        shares[gaps.index(max(gaps))] += 1
    return shares


WEIGHTS = st.lists(st.one_of(kopecks(), st.integers(0, 3)), min_size=1, max_size=24).filter(any)


@pytest.mark.hypothesis
@settings(QUIET, max_examples=max(50, CASES // 200))
@given(kopecks(), WEIGHTS)
@example(2, [1, 1, 1, 1])
@example(AMOUNT_MAX, [AMOUNT_MAX, 1, AMOUNT_MAX - 1])
def test_exact_fractions_agree(total: int, weights: list[int]) -> None:
    shares = largest_remainder(total, weights)
    assert shares == oracle(total, weights)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert share >= 0
        assert weight > 0 or share == 0
        assert abs(share - Fraction(total) * weight / sum(weights)) < 1
