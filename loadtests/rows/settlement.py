"""A day of a million payments: its close, its payers meanwhile, and every recipient's report."""

import http.client
import threading
from collections.abc import Iterator
from functools import partial

from loadtests import households
from loadtests.bulk_loaded import bulk_load
from loadtests.gateway_process import ANSWER_S, Gateway
from loadtests.machine import Disturbance
from loadtests.measure import timed
from loadtests.peers import Peers
from loadtests.report import Figure, Goal, Row
from loadtests.scenario import Staged
from loadtests.stage import Stage

PAYMENTS = 1_000_000
ROUNDS = 10
# With them the region has some two hundred recipients, most of them small.
COMPANIES = 180
MODELS = 7 * COMPANIES
RUNS_MAX = 3
# More than a region's busiest hour has, and far from what the machine can take.
PAYERS_PER_S = 500.0
PAYING_S = 4.0
CLOSED_AFTER_S = 1.0
_READ_BYTES = 1 << 20


def part(stage: Stage) -> Iterator[Row]:
    """Closes of days, the reports of what was closed, and payers beside a close."""
    day = Day(stage.gateway, stage.peers, PAYMENTS)
    runs = min(stage.runs, RUNS_MAX)
    yield from _closed_and_read(day, runs)
    yield _payers(day, stage.ordinary, runs)


class Day:
    """Loads one day after another into a gateway, and closes it."""

    def __init__(self, gateway: Gateway, peers: Peers, payments: int) -> None:
        self.peers = peers
        self._gateway = gateway
        self._payments = payments
        gateway.add_recipients(COMPANIES)
        self.batch = ""
        self.recipients: list[str] = []
        self.payments = 0
        self.close()

    def fill(self) -> None:
        """Put the day's payments into the open batch."""
        bills = partial(households.bills, place_of=_place)
        bulk_load(self._gateway, self._payments // ROUNDS, ROUNDS, MODELS, bills)

    def close(self) -> None:
        """Close what is open."""
        closed = self._gateway.send("POST", "/v1/settlement-batches", {})
        self.batch = closed["id"]
        self.payments = closed["payments"]
        self.recipients = [position["recipient"] for position in closed["positions"]]

    def read_reports(self) -> int:
        """Read every recipient's report of the closed day: how many bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=ANSWER_S)
        size = 0
        try:
            for recipient in self.recipients:
                connection.request(
                    "GET",
                    f"/v1/settlement-batches/{self.batch}/reports/{recipient}?format=csv",
                    headers={"Authorization": f"Bearer {self._gateway.operator}"},
                )
                response = connection.getresponse()
                if response.status != http.HTTPStatus.OK:
                    raise RuntimeError(f"Expected 200 of a report, was {response.status}")
                while piece := response.read(_READ_BYTES):
                    size += len(piece)
        finally:
            connection.close()
        return size


def _place(number: int) -> dict[str, int]:
    return {**households.scattered(number), "company": number // 7 % COMPANIES}


def _closed_and_read(day: Day, runs: int) -> list[Row]:
    disturbance = Disturbance()
    closes: dict[str, list[float]] = {"gateway": [], "peer": []}
    reads: dict[str, list[float]] = {"gateway": [], "peer": []}
    sizes = {"gateway": 0, "peer": 0}

    def read() -> None:
        sizes["gateway"] = day.read_reports()

    for _ in range(runs):
        day.fill()
        closes["gateway"].append(timed(day.close))
        day.peers.unpack_last_batch()
        closes["peer"].append(day.peers.group_by())
        reads["gateway"].append(timed(read))
        day.peers.make_report_rows()
        seconds, sizes["peer"] = day.peers.copy_report_rows()
        reads["peer"].append(seconds)
    foreign = disturbance.cores()
    return [
        Row(
            name="close",
            what=f"close and positions of {day.payments} payments ({8 * day.payments} shares)",
            measured=Figure("s", closes["gateway"]),
            peer="one GROUP BY over the same shares, unpacked before",
            against=Figure("s", closes["peer"]),
            must=Goal(2, "lower"),
            aim=Goal(1.2, "lower"),
            foreign_cores=foreign,
        ),
        Row(
            name="reports",
            what=f"csv reports of all {len(day.recipients)} recipients of that batch",
            measured=Figure("s", reads["gateway"]),
            peer="one COPY of the same rows to csv, made before",
            against=Figure("s", reads["peer"]),
            must=Goal(2, "lower"),
            aim=Goal(1.2, "lower"),
            note=f"{sizes['gateway'] / 1e6:.0f} MB; COPY {sizes['peer'] / 1e6:.0f} MB",
            foreign_cores=foreign,
        ),
    ]


def _payers(day: Day, staged: Staged, runs: int) -> Row:
    disturbance = Disturbance()
    before, meanwhile = [], []
    for run in range(runs):
        day.fill()
        staged.opened(PAYERS_PER_S, 1.0)
        before.append(_p99(staged, run))
        closing = threading.Timer(CLOSED_AFTER_S, day.close)
        closing.start()
        try:
            meanwhile.append(_p99(staged, run))
        finally:
            closing.join()
    return Row(
        name="payers_beside_close",
        what=f"p99 of {PAYERS_PER_S:.0f} payers a second for {PAYING_S:.0f} s, open loop,"
        f" {day.payments} payments being closed",
        measured=Figure("ms", meanwhile),
        peer="as many payers just before",
        against=Figure("ms", before),
        aim=Goal(1.2, "lower"),
        foreign_cores=disturbance.cores(),
    )


def _p99(staged: Staged, seed: int) -> float:
    return staged.opened(PAYERS_PER_S, PAYING_S, seed=seed + 1).latency_ms["p99"]
