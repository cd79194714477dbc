"""Hot spots beside the ordinary day: what contention costs, closed loop, both sides in turns."""

from collections.abc import Iterator
from functools import partial

from loadtests.measure import Turns
from loadtests.report import Figure, Goal, Row
from loadtests.scenario import Staged
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.many_payers_many_recipients import MANY_PAYERS_MANY_RECIPIENTS
from loadtests.scenarios.slow_callers import CALLERS, slow_callers
from loadtests.stage import Stage

RUNS = 4
SECONDS = 2.0
ORDINARY = MANY_PAYERS_MANY_RECIPIENTS.name
# Every answer counts: of a retry storm the second one of each payment as well.
MUST = {
    "many_payers_one_supplier": Goal(0.9, "higher"),
    "one_house_one_evening": Goal(0.7, "higher"),
    "retry_storm": Goal(0.8, "higher"),
}


def part(stage: Stage) -> Iterator[Row]:
    """A row for each scenario but the ordinary one, and one with slow callers beside it."""
    gateway, runs = stage.gateway, min(RUNS, stage.runs)
    ordinary = partial(per_second, stage.ordinary)
    ordinary()
    for name, scenario in SCENARIOS.items():
        if name != ORDINARY:
            hot = partial(per_second, Staged(gateway, scenario))
            yield _row(name, scenario.what, Turns(runs, hot, ordinary))

    def beside_slow_callers() -> float:
        with slow_callers(gateway.port, gateway.acquirer):
            return ordinary()

    turns = Turns(runs, beside_slow_callers, ordinary)
    yield _row("slow_callers", f"the ordinary day beside {CALLERS} callers that stall", turns)


def per_second(staged: Staged) -> float:
    """Answers a second of as many connections as the ordinary day has."""
    return staged.closed(SECONDS).per_second


def _row(name: str, what: str, turns: Turns) -> Row:
    return Row(
        name=f"hot_{name}",
        what=what,
        measured=Figure("answers/s", turns.measured),
        peer=MANY_PAYERS_MANY_RECIPIENTS.what,
        against=Figure("/s", turns.against),
        must=MUST.get(name),
        foreign_cores=turns.foreign_cores,
    )
