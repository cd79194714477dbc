"""Loading the bills of a region of 1,100,000 accounts, beside COPY of the rows that came of it.

On a gateway of its own, as other parts pay on fewer accounts.
"""

import time

import orjson

from loadtests import households
from loadtests.gateway_process import Gateway, running_gateway
from loadtests.machine import Disturbance
from loadtests.peers import Peers, peers
from loadtests.report import Figure, Goal, Row
from loadtests.stage import Stage

ACCOUNTS = 1_100_000
NEXT_PERIOD = "2026-11"
NEXT_RUNS_MAX = 2


def part(stage: Stage, accounts: int = ACCOUNTS) -> list[Row]:
    """First bills of a share of the accounts in each run, then the next bills of some shares."""
    count = accounts // stage.runs
    with (
        running_gateway(stage.workers, stage.folder) as gateway,
        peers(gateway.database_url) as plain,
    ):
        first = _first_bills(gateway, plain, stage.runs, count)
        return [first, _next_bills(gateway, stage.runs, count, first.measured)]


def _first_bills(gateway: Gateway, plain: Peers, runs: int, count: int) -> Row:
    disturbance = Disturbance()
    measured, against = [], []
    for run in range(runs):
        content = _lines(run * count, count, households.PERIOD)
        started = time.perf_counter()
        gateway.load_bills(content, count)
        measured.append(count / (time.perf_counter() - started))
        against.append(count / plain.copy_bills(households.account(run * count)))
    return Row(
        name="load_bills",
        what=f"loading {runs * count} bills of 8 charges, {count} a request",
        measured=Figure("bills/s", measured),
        peer="COPY of the same rows",
        against=Figure("/s", against),
        must=Goal(0.3, "higher"),
        aim=Goal(0.5, "higher"),
        foreign_cores=disturbance.cores(),
    )


def _next_bills(gateway: Gateway, runs: int, count: int, first: Figure) -> Row:
    disturbance = Disturbance()
    measured = []
    for run in range(min(runs, NEXT_RUNS_MAX)):
        content = _lines(run * count, count, NEXT_PERIOD)
        started = time.perf_counter()
        gateway.load_bills_apart(content, count)
        measured.append(count / (time.perf_counter() - started))
    return Row(
        name="next_bills",
        what=f"next month's bills, {count} a request, {runs * count} accounts",
        measured=Figure("bills/s", measured),
        peer="their first bills",
        against=first,
        foreign_cores=disturbance.cores(),
    )


def _lines(first: int, count: int, period: str) -> bytes:
    bodies = households.bills(count, seed=first + 1, first=first)
    return b"".join(
        orjson.dumps({**body, "period": period}, option=orjson.OPT_APPEND_NEWLINE)
        for body in bodies
    )
