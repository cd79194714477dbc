"""How figures are taken: both sides in turns, several times, with what others used meanwhile."""

import time
from collections.abc import Callable

from loadtests.machine import Disturbance

Side = Callable[[], float]


class Turns:
    """Two sides measured in turns, so that a noisy minute hits both."""

    def __init__(self, runs: int, measured: Side, against: Side) -> None:
        disturbance = Disturbance()
        self.measured: list[float] = []
        self.against: list[float] = []
        for run in range(runs):
            # Whoever is first in a pair finds caches and disk as the other left them.
            sides = [(self.measured, measured), (self.against, against)]
            for values, side in sides if run % 2 == 0 else reversed(sides):
                values.append(side())
        self.foreign_cores = disturbance.cores()


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
