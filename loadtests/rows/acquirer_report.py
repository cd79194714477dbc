"""A day's file of an acquirer, from its bytes to durable payments, beside bulk payments."""

import time
from collections.abc import Iterator
from itertools import count as counting

from loadtests import households
from loadtests.gateway_process import Gateway
from loadtests.measure import Turns
from loadtests.report import Figure, Goal, Row
from loadtests.rows.stored import BulkLoad
from loadtests.stage import Stage

ROWS = 100_000
# Each takes as long as it takes to make a hundred thousand payments durable.
RUNS_MAX = 3


def part(stage: Stage) -> Iterator[Row]:
    """The one row, on accounts that all pay a few times a file.

    On a gateway of its own: a file ends with a look at all that its bank took on its days, and the
    millions of the parts before are no bank's day.
    """
    with Stage(stage.runs, stage.folder, stage.workers) as own:
        gateway = own.stocked()
        bulk = BulkLoad(gateway, "beside-report")
        yield report_row(ReportLoad(gateway), bulk, min(stage.runs, RUNS_MAX))


class ReportLoad:
    """Files of Sberbank's layout whose rows no online payment is known for."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._runs = counting()

    def per_second(self, rows: int) -> float:
        """Durable payments a second of one file with so many rows."""
        run = f"report{next(self._runs)}"
        bodies = households.payments(self._gateway.accounts, rows, run)
        content = households.report_file(bodies)
        started = time.perf_counter()
        answer = self._gateway.send_file("/v1/acquirer-reports?format=sber12", content)
        seconds = time.perf_counter() - started
        if (answer["created"], answer["matched"]) != (rows, 0):
            raise RuntimeError(f"Expected {rows} payments made, was {answer['created']}")
        return rows / seconds


def report_row(load: ReportLoad, bulk: BulkLoad, runs: int, rows: int = ROWS) -> Row:
    """One file of `rows` rows, and as many payments in one bulk request, in turns."""
    turns = Turns(runs, lambda: load.per_second(rows), lambda: bulk.per_second(rows, 1, brief=True))
    return Row(
        name="acquirer_report",
        what=f"an acquirer's file of {rows} rows, from file to durable",
        measured=Figure("payments/s", turns.measured),
        peer="the same payments in bulk",
        against=Figure("payments/s", turns.against),
        must=Goal(0.8, "higher"),
        aim=Goal(1, "higher"),
        foreign_cores=turns.foreign_cores,
    )
