"""What card payers wait while registers come in bulk, beside what they wait alone."""

from loadtests.http_load import Outcome
from loadtests.measure import Turns
from loadtests.report import Figure, Row
from loadtests.scenarios.registers import LINES, REGISTERS, registers
from loadtests.stage import Stage

RUNS = 3
# Few enough that payers alone would hardly be felt, over connections that none of them waits for.
PER_SECOND, SECONDS, CONNECTIONS = 200.0, 2.0, 400


def part(stage: Stage) -> list[Row]:
    """p99 of payers that come open loop."""
    gateway, staged = stage.gateway, stage.ordinary
    refusals: list[int] = []
    numbers = iter(range(stage.runs))

    def come() -> Outcome:
        return staged.overloaded(PER_SECOND, SECONDS, CONNECTIONS)

    def beside() -> float:
        with registers(gateway, staged, f"beside{next(numbers)}"):
            outcome = come()
        refusals.append(outcome.refusals)
        return outcome.latency_ms["p99"]

    turns = Turns(min(RUNS, stage.runs), beside, lambda: come().latency_ms["p99"])
    row = Row(
        name="beside_registers",
        what=f"p99 of those taken of {PER_SECOND:.0f} payers a second,"
        f" beside {REGISTERS} registers of {LINES}",
        measured=Figure("ms", turns.measured),
        peer="the payers alone",
        against=Figure("ms", turns.against),
        note=f"{sum(refusals)} of {len(refusals) * PER_SECOND * SECONDS:.0f} refused",
        foreign_cores=turns.foreign_cores,
    )
    return [row]
