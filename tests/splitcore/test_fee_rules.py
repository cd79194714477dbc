"""Fees: half a kopeck goes up; limits clamp; a fixed total buys the largest amount it can."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitcore import AMOUNT_MAX, PPM, FeeRule, SplitError, amount_for_total, fee
from tests.splitcore.drawn import CASES, QUIET, fee_rules, kopecks


@pytest.mark.parametrize(
    ("x", "rule", "charged"),
    [
        (100_000, FeeRule(ppm=10_000), 1_000),
        (50, FeeRule(ppm=10_000), 1),  # half a kopeck goes up
        (49, FeeRule(ppm=10_000), 0),
        (150, FeeRule(ppm=10_000), 2),
        (0, FeeRule(ppm=10_000), 0),
        (100, FeeRule(fixed=30), 30),
        (100, FeeRule(ppm=10_000, fixed=30), 31),
        (100, FeeRule(ppm=10_000, min=50), 50),
        (100_000, FeeRule(ppm=10_000, max=700), 700),
        (100, FeeRule(ppm=10_000, max=0), 0),
        (100, FeeRule(min=5, max=5), 5),
        (0, FeeRule(min=5), 5),
        (AMOUNT_MAX, FeeRule(ppm=PPM, fixed=AMOUNT_MAX), 2 * AMOUNT_MAX),
        (AMOUNT_MAX, FeeRule(ppm=999_999), AMOUNT_MAX - AMOUNT_MAX // PPM),
        (7, FeeRule(), 0),
    ],
)
def test_fee(x: int, rule: FeeRule, charged: int) -> None:
    assert fee(x, rule) == charged


@pytest.mark.parametrize(
    ("total", "rule", "expected"),
    [
        (100, FeeRule(ppm=10_000), (99, 1)),
        (101_000, FeeRule(ppm=10_000), (100_000, 1_000)),
        (100, None, (100, 0)),
        (100, FeeRule(), (100, 0)),
        (50, FeeRule(ppm=10_000), (49, 1)),  # 50 would cost 51: the odd kopeck is a surcharge
        (130, FeeRule(ppm=10_000, fixed=30), (99, 31)),
        (1_000, FeeRule(ppm=10_000, min=100), (900, 100)),
        (100_700, FeeRule(ppm=10_000, max=700), (100_000, 700)),
        (2, FeeRule(fixed=1), (1, 1)),
        (3 * AMOUNT_MAX, FeeRule(ppm=PPM, fixed=AMOUNT_MAX), (AMOUNT_MAX, 2 * AMOUNT_MAX)),
    ],
)
def test_amount_for_total(total: int, rule: FeeRule | None, expected: tuple[int, int]) -> None:
    assert amount_for_total(total, rule) == expected


@pytest.mark.parametrize(
    ("code", "total", "rule"),
    [
        ("malformed", 1.0, None),
        ("malformed", True, None),
        ("malformed", 1, (0, 0, 0, None)),
        ("malformed", 1, FeeRule(ppm=0.5)),  # type: ignore[arg-type]
        ("malformed", 0, FeeRule(max="1")),  # type: ignore[arg-type]
        ("amount_out_of_range", 0, FeeRule(ppm=-1)),
        ("amount_out_of_range", 2**63, None),
        ("amount_out_of_range", 2**63 - 1, None),
        ("amount_out_of_range", AMOUNT_MAX + 1, None),
        ("amount_out_of_range", 1, FeeRule(fixed=1)),
        ("amount_out_of_range", 5, FeeRule(min=5)),
        ("fee_out_of_range", 1, FeeRule(ppm=PPM + 1)),
        ("fee_out_of_range", 1, FeeRule(fixed=-1)),
        ("fee_out_of_range", 1, FeeRule(min=2, max=1)),
        ("fee_out_of_range", 1, FeeRule(max=2**63 - 1)),
        ("fee_out_of_range", 1, FeeRule(max=2**80)),
    ],
)
def test_total_refused(code: str, total: int, rule: FeeRule | None) -> None:
    with pytest.raises(SplitError) as refused:
        amount_for_total(total, rule)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("code", "x", "rule"),
    [
        ("malformed", 1.0, FeeRule()),
        ("malformed", 1, [0, 0, 0, None]),
        ("amount_out_of_range", -1, FeeRule(ppm=-1)),
        ("amount_out_of_range", AMOUNT_MAX + 1, FeeRule()),
        ("fee_out_of_range", 1, FeeRule(ppm=-1)),
    ],
)
def test_fee_refused(code: str, x: int, rule: FeeRule) -> None:
    with pytest.raises(SplitError) as refused:
        fee(x, rule)
    assert refused.value.code == code


@pytest.mark.hypothesis
@settings(QUIET, max_examples=max(50, CASES // 200))
@given(kopecks(low=1), fee_rules(), st.integers(0, 3))
def test_a_total_buys_the_largest_amount(amount: int, rule: FeeRule, over: int) -> None:
    total = amount + fee(amount, rule) + over
    try:
        bought, surcharge = amount_for_total(total, rule)
    except SplitError:
        assert total >= AMOUNT_MAX + 1 + fee(AMOUNT_MAX, rule)
        return
    assert bought >= amount
    assert bought + surcharge == total
    assert surcharge >= fee(bought, rule)
    assert bought == AMOUNT_MAX or bought + 1 + fee(bought + 1, rule) > total
