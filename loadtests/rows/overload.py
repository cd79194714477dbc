"""Ten times more than saturation: goodput against the peak, and how soon refusals are told."""

from collections.abc import Iterator

from loadtests.gateway_process import running_gateway
from loadtests.http_load import Outcome
from loadtests.machine import Disturbance
from loadtests.report import Figure, Goal, Row
from loadtests.scenario import Staged
from loadtests.scenarios.many_payers_many_recipients import MANY_PAYERS_MANY_RECIPIENTS
from loadtests.scenarios.overload import BURST, FLOOD, REFUSED, TIMES, WAITING, Crowd
from loadtests.stage import Stage

RUNS = 3
PEAK_SECONDS, SECONDS = 2.0, 5.0


def part(stage: Stage) -> Iterator[Row]:
    """Goodput of a crowd that may wait, of one that is refused, with its refusals, of a flood."""
    runs = min(RUNS, stage.runs)
    for crowd in (WAITING, REFUSED, BURST, FLOOD):
        with running_gateway(stage.workers, stage.folder, crowd.settings) as gateway:
            staged = Staged(gateway, MANY_PAYERS_MANY_RECIPIENTS, crowd.name)
            staged.closed(1.0)
            yield from rows(crowd, staged, 1 if crowd is BURST else runs)


def rows(crowd: Crowd, staged: Staged, runs: int) -> Iterator[Row]:
    disturbance = Disturbance()
    peaks: list[float] = []
    outcomes: list[Outcome] = []
    for _ in range(runs):
        peaks.append(staged.closed(PEAK_SECONDS).per_second)
        outcomes.append(
            staged.overloaded(
                TIMES * peaks[-1], SECONDS, crowd.connections, crowd.rest_s, crowd.enter_s
            )
        )
    foreign_cores = disturbance.cores()
    refusals = sum(outcome.refusals for outcome in outcomes)
    yield Row(
        name=crowd.name,
        what=f"goodput at {TIMES} × overload: {crowd.what}",
        measured=Figure("payments/s", [outcome.per_second for outcome in outcomes]),
        peer="the peak of 64 connections",
        against=Figure("/s", peaks),
        must=Goal(0.9, "higher") if crowd.has_goals else None,
        note=f"{refusals} refused" if refusals else "none refused",
        foreign_cores=foreign_cores,
    )
    if crowd.rest_s:
        yield Row(
            name=f"{crowd.name}_p99",
            what=f"p99 of the refusals, from sending to `overloaded`: {crowd.what}",
            measured=Figure("ms", [outcome.refusal_ms["p99"] for outcome in outcomes]),
            must=Goal(10, "lower", "measured") if crowd.has_goals else None,
            foreign_cores=foreign_cores,
        )
