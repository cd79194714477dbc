"""When payers come: moments of an open loop, the same for the same seed.

Payers know nothing of each other, so they come as a Poisson process, whose rate follows a curve.
Whoever comes does not wait for the one before to be answered: latencies counted from these moments
show what a stalled gateway did to everybody who came meanwhile (a closed loop leaves them out).
"""

import math
import random
from array import array
from collections.abc import Callable

# From the share of the time that has passed to the share of the peak rate; both 0 to 1.
Curve = Callable[[float], float]
_QUIET = 0.2
# On the tenth, the last day to pay: a third as many come before noon, and the most towards evening.
_MORNING = 0.3
_NOON, _RUSH = 0.4, 0.6


def steady(passed: float) -> float:
    """The peak all the time."""
    return 1.0


def evening(passed: float) -> float:
    """From a fifth of the peak up to it in the middle, and back."""
    return _QUIET + (1 - _QUIET) * math.sin(math.pi * passed) ** 2


def tenth_of_the_month(passed: float) -> float:
    """Quiet until noon, a steep climb to the peak, and the peak until the end."""
    if passed < _NOON:
        return _MORNING
    return min(1.0, _MORNING + (1 - _MORNING) * (passed - _NOON) / (_RUSH - _NOON))


CURVES: dict[str, Curve] = {
    "steady": steady,
    "evening": evening,
    "tenth_of_the_month": tenth_of_the_month,
}


def arrivals(
    peak_per_second: float, seconds: float, curve: Curve = steady, seed: int = 1
) -> "array[float]":
    """Seconds from the start at which somebody comes, ascending and below `seconds`."""
    dice = random.Random(seed)
    moments = array("d")
    moment = dice.expovariate(peak_per_second)
    while moment < seconds:
        # Thinning: of a process at the peak rate, keep as many as the curve says.
        if dice.random() < curve(moment / seconds):
            moments.append(moment)
        moment += dice.expovariate(peak_per_second)
    return moments


def mean(curve: Curve, steps: int = 10_000) -> float:
    """The mean of a curve: the share of the peak that comes over the whole time."""
    return sum(curve((step + 0.5) / steps) for step in range(steps)) / steps
