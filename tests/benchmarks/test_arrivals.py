"""Payers come as often as the curve says, at random, and the same again for the same seed."""

import itertools
import math

import pytest

from loadtests.arrivals import CURVES, Curve, arrivals, evening, mean, steady, tenth_of_the_month

PEAK, SECONDS = 500.0, 40.0


def counted(moments: list[float], parts: int) -> list[int]:
    counts = [0] * parts
    for moment in moments:
        counts[int(moment / SECONDS * parts)] += 1
    return counts


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_as_many_come_as_the_curve_says(curve: Curve) -> None:
    moments = list(arrivals(PEAK, SECONDS, curve, seed=7))
    assert moments == sorted(moments)
    assert moments[0] >= 0.0
    assert moments[-1] < SECONDS
    expected = PEAK * SECONDS * mean(curve)
    # Five standard deviations of a Poisson count.
    assert abs(len(moments) - expected) < 5 * math.sqrt(expected)
    for part, count in enumerate(counted(moments, 10)):
        moments_of_part = (curve((part + at / 100) / 10) for at in range(100))
        of_part = PEAK * SECONDS / 1_000 * sum(moments_of_part)
        assert abs(count - of_part) < 5 * math.sqrt(of_part)


def test_gaps_are_of_a_poisson_process() -> None:
    moments = list(arrivals(PEAK, SECONDS))
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    average = sum(gaps) / len(gaps)
    assert average == pytest.approx(1 / PEAK, rel=0.03)
    # The deviation of exponential gaps is their mean; evenly spaced arrivals would have none.
    deviation = math.sqrt(sum((gap - average) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(average, rel=0.05)


def test_the_seed_decides() -> None:
    assert arrivals(PEAK, 2.0, evening, seed=3) == arrivals(PEAK, 2.0, evening, seed=3)
    assert arrivals(PEAK, 2.0, evening, seed=3) != arrivals(PEAK, 2.0, evening, seed=4)


def test_curves_have_their_shapes() -> None:
    assert {steady(at / 10) for at in range(11)} == {1.0}
    assert evening(0.5) == 1.0
    assert evening(0.0) == pytest.approx(evening(1.0)) == pytest.approx(0.2)
    assert tenth_of_the_month(0.0) < tenth_of_the_month(0.5) < tenth_of_the_month(0.6) == 1.0
    assert tenth_of_the_month(1.0) == 1.0
    for curve in CURVES.values():
        assert all(0.0 < curve(at / 100) <= 1.0 for at in range(101))
