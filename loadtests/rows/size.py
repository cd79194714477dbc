"""What size costs: payments stored by the million beside none, a worker's memory, bytes a payment.

Two gateways on the same accounts, one of them with payments stored by `cold_load`, are measured in
turns. Accounts and keys come by chance, so that every payment touches pages of its own.
"""

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from loadtests import cold_load, households, http_load
from loadtests.gateway_process import Gateway, gateway_on
from loadtests.machine import pss_mb_of_children
from loadtests.measure import Turns
from loadtests.peers import peers
from loadtests.report import Figure, Goal, Row
from loadtests.rows.stored import DURABLE, FIXED_RECORDS
from loadtests.stage import Stage

CONNECTIONS = 64
TAKEN = '"id":"pay_'
SECONDS = 3.0
PER_SECOND_MAX = 15_000
BULK_LINES = 1_000
BULK_REQUESTS = 20
WARM_REQUESTS = 60
SECONDS_MAX = 120.0
# With indexes, the files they are sorted in, and the log.
_BYTES_A_PAYMENT = 1_000
_BYTES_BESIDE = 6_000_000_000
GROWING = (
    *("payments", "idempotency_keys", "settlement_batches", "positions"),
    *("seals", "seal_pages"),
)


class Sizes(msgspec.Struct, frozen=True):
    """Accounts with an open bill, how many of them have paid, and how often by each step."""

    accounts: int = 1_100_000
    payers: int = 1_000_000
    rounds: tuple[int, ...] = (1, 20)
    models: int = cold_load.MODELS

    def that_fit(self, free: int) -> tuple[int, ...]:
        """The steps that so many free bytes have room for, at least the first."""
        room = (free - _BYTES_BESIDE) // _BYTES_A_PAYMENT // self.payers
        return tuple(r for r in self.rounds if r <= room) or self.rounds[:1]


def part(stage: Stage, sizes: Sizes | None = None) -> list[Row]:
    """Throughput with payments stored, memory of a worker, disk at size."""
    chosen = sizes or Sizes()
    folder = Path(tempfile.mkdtemp(prefix="kopeck-size-", dir=stage.folder))
    try:
        return _rows(stage, chosen, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _rows(stage: Stage, sizes: Sizes, folder: Path) -> list[Row]:
    none, full = folder / "none", folder / "full"
    cold_load.make_region(none, sizes.accounts, sizes.models)
    # Owners are kept: PostgreSQL's files are not root's.
    subprocess.run(["cp", "--archive", none, full], check=True)
    steps = sizes.that_fit(shutil.disk_usage(folder).free)
    short = "" if steps == sizes.rounds else "the disk has no room for more"
    points: list[dict[str, float]] = []
    for rounds in steps[:-1]:
        cold_load.store_payments(full, sizes.payers, rounds, sizes.models)
        with _Pair(none, full, sizes.accounts, stage.workers) as pair:
            turns = pair.singles(max(1, stage.runs // 2))
        points.append(_point(sizes.payers * rounds, turns.measured))
    stored = sizes.payers * steps[-1]
    cold_load.store_payments(full, sizes.payers, steps[-1], sizes.models)
    with _Pair(none, full, sizes.accounts, stage.workers) as pair:
        singles = pair.singles(stage.runs)
        bulk = pair.bulk(stage.runs)
        found = [pair.memory_row(sizes), pair.disk_row(stored)]
    points = [_point(0, singles.against), *points, _point(stored, singles.measured)]
    return [
        _stored_row("stored", "one payment a request", stored, singles, points, short),
        _stored_row("stored_bulk", f"bulk, {BULK_LINES} a request", stored, bulk, [], short),
        *found,
    ]


def _point(stored: int, measured: list[float]) -> dict[str, float]:
    return {"stored": stored, "payments_per_s": statistics.median(measured)}


def _stored_row(
    name: str, how: str, stored: int, turns: Turns, points: list[dict[str, float]], note: str
) -> Row:
    return Row(
        name=name,
        what=f"{how}, {stored} payments stored",
        measured=Figure("payments/s", turns.measured),
        peer="with none",
        against=Figure("payments/s", turns.against),
        must=Goal(0.85, "higher"),
        aim=Goal(0.95, "higher"),
        note=note,
        foreign_cores=turns.foreign_cores,
        points=points,
    )


class _Side:
    """One of the two gateways and who pays there, nobody twice."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.memory_before = pss_mb_of_children(gateway.process_id, "worker")
        self.paid = 0
        self._sent = 0

    def singles(self, seconds: float) -> float:
        """Payments a second, one a request."""
        bodies = self._bodies(int(seconds * PER_SECOND_MAX))
        made = households.single_requests(self.gateway.acquirer, bodies)
        plan = http_load.Plan(
            port=self.gateway.port,
            connections=CONNECTIONS,
            seconds=seconds,
            status=201,
            token=TAKEN,
        )
        outcome = http_load.load(plan, made)
        self.paid += outcome.answers
        return outcome.per_second

    def bulk(self, requests: int) -> float:
        """Payments a second, many a request."""
        made = [
            households.bulk_request(
                self.gateway.acquirer, self._bodies(BULK_LINES), "/v1/payments/bulk", uuid4().hex
            )
            for _ in range(requests)
        ]
        plan = http_load.Plan(
            port=self.gateway.port,
            connections=1,
            seconds=SECONDS_MAX,
            status=200,
            token=DURABLE,
            times=BULK_LINES,
        )
        outcome = http_load.load(plan, made)
        self.paid += outcome.answers * BULK_LINES
        return outcome.per_second * BULK_LINES

    def _bodies(self, count: int) -> Iterator[dict[str, Any]]:
        first, self._sent = self._sent, self._sent + count
        for body in households.payments(self.gateway.accounts, count, "size", first):
            yield {**body, "idempotency_key": uuid4().hex}


class _Pair:
    """Both gateways, running; both have paid alike when they are measured."""

    def __init__(self, none: Path, full: Path, accounts: int, workers: int) -> None:
        self._stack = ExitStack()
        self._directories = (none, full)
        self._accounts = accounts
        self._workers = workers

    def __enter__(self) -> "_Pair":
        self._none, self._full = (
            _Side(self._stack.enter_context(gateway_on(data, self._workers, self._accounts)))
            for data in self._directories
        )
        self._plain = self._stack.enter_context(peers(self._full.gateway.database_url))
        self._sizes = self._plain.sizes()
        # Right after a start every page's first write is a whole one in the log.
        for side in (self._none, self._full):
            side.bulk(WARM_REQUESTS)
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def singles(self, runs: int) -> Turns:
        """One payment a request, with payments stored against without."""
        return Turns(runs, lambda: self._full.singles(SECONDS), lambda: self._none.singles(SECONDS))

    def bulk(self, runs: int) -> Turns:
        """Bulk, with payments stored against without."""
        return Turns(
            runs, lambda: self._full.bulk(BULK_REQUESTS), lambda: self._none.bulk(BULK_REQUESTS)
        )

    def memory_row(self, sizes: Sizes) -> Row:
        """What the workers of the fuller gateway hold by now."""
        before = max(self._full.memory_before)
        return Row(
            name="worker_memory",
            what=f"memory of a worker with {sizes.accounts} accounts,"
            f" {self._full.paid} payments later",
            measured=Figure("MB", pss_mb_of_children(self._full.gateway.process_id, "worker")),
            must=Goal(300, "lower", "measured"),
            aim=Goal(150, "lower", "measured"),
            note=f"{sizes.models} structures of bills; {before:.0f} MB before",
        )

    def disk_row(self, stored: int) -> Row:
        """All that grows with payments, at size; and what the last of them added, page by page."""
        now = self._plain.sizes()
        whole = sum(now[table] for table in GROWING) / (stored + self._full.paid)
        grown = sum(now[table] - self._sizes[table] for table in (*GROWING, "open_bills"))
        return Row(
            name="disk_at_size",
            what=f"disk a payment with 8 shares, {stored} stored and sealed, keys by chance",
            measured=Figure("bytes", [whole]),
            peer="8 records of 128 bytes",
            against=Figure("bytes", [float(FIXED_RECORDS)]),
            must=Goal(1, "lower"),
            aim=Goal(0.7, "lower"),
            note=f"the last {self._full.paid} added {grown / self._full.paid:.0f} each",
        )
