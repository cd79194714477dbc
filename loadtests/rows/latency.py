"""Latency against load: payers come open loop at a part of what the gateway can take at most.

Every latency begins when its payer came, whether or not a connection was free (coordinated
omission would leave out those whom a stall kept waiting).
"""

from collections.abc import Iterator

from loadtests.http_load import Outcome
from loadtests.machine import Disturbance
from loadtests.report import Figure, Goal, Row
from loadtests.scenario import CONNECTIONS, Staged
from loadtests.stage import Stage

SATURATION_SECONDS = 2.0
# More than can be answered, so that an open loop too shows what is answered at most.
BEYOND = 1.2
# The machine drifts, so what saturates it is measured again before every run.
NEAR, NEAR_SECONDS, NEAR_RUNS = 0.95, 10.0, 3
LOADS, LOAD_SECONDS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9), 4.0


def part(stage: Stage) -> Iterator[Row]:
    """p99 at 95 % of saturation, with the whole curve as its points."""
    staged = stage.ordinary
    staged.closed(1.0)
    disturbance = Disturbance()
    points, near = [], []
    for load in LOADS:
        points.append(point(load, *at(staged, load, LOAD_SECONDS)))
    for run in range(min(stage.runs, NEAR_RUNS)):
        saturated, outcome = at(staged, NEAR, NEAR_SECONDS, seed=run + 1)
        near.append(outcome)
        points.append(point(NEAR, saturated, outcome))
    lag = max(outcome.lag_ms["p99"] for outcome in near)
    yield Row(
        name="http_95",
        what=f"p99 at {NEAR:.0%} of saturation, open loop, {CONNECTIONS} connections,"
        f" {NEAR_SECONDS:.0f} s",
        measured=Figure("ms", [outcome.latency_ms["p99"] for outcome in near]),
        must=Goal(25, "lower", "measured"),
        aim=Goal(10, "lower", "measured"),
        note=f"the generator itself late by {lag:.1f} ms at p99",
        foreign_cores=disturbance.cores(),
        points=points,
    )


def at(staged: Staged, load: float, seconds: float, seed: int = 1) -> tuple[float, Outcome]:
    """Payments a second at saturation, and the outcome at this part of it.

    Saturation is what payers get who come faster than they are answered, for half as long as the
    part is measured: a closed loop's peak of a moment is more than they can be given for long.
    """
    peak = staged.closed(SATURATION_SECONDS).per_second
    saturated = min(peak, staged.opened(BEYOND * peak, seconds / 2, seed=seed).per_second)
    return saturated, staged.opened(load * saturated, seconds, seed=seed)


def point(load: float, saturated: float, outcome: Outcome) -> dict[str, float]:
    """One point of the curve."""
    return {
        "load": load,
        "offered_per_s": round(load * saturated, 1),
        "payments_per_s": round(outcome.per_second, 1),
        "p50_ms": outcome.latency_ms["p50"],
        "p99_ms": outcome.latency_ms["p99"],
        "unsent": outcome.unsent,
    }
