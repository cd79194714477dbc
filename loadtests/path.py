"""The path of one payment: what each of its steps costs, and the least that it could.

`python -m loadtests.path` takes payments through the product's own parts in this process, on the
durable PostgreSQL of a running gateway, one at a time and in groups; then over HTTP, where the
processes' own time tells what the steps leave out. Processor time is what counts: it is nearly the
same on a busy machine.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from gateway.api import encode, plain, replies
from gateway.api.replies import Reply
from gateway.api.single_bodies import SingleBodies
from gateway.app import open_context
from gateway.bills import store as bills
from gateway.config import Settings
from gateway.domain.payment import PaymentRequest, Receipt
from gateway.flows.accept_payment import Intake
from gateway.flows.commit_group import CommitGroup
from gateway.flows.context import Context
from gateway.journal import store as journal
from gateway.splitting.split import GroupSplit
from loadtests.gateway_process import Gateway, running_gateway
from loadtests.machine import cpu_s_by_child, sync_s
from loadtests.scenario import CONNECTIONS, Staged
from loadtests.scenarios.many_payers_many_recipients import MANY_PAYERS_MANY_RECIPIENTS

GROUPS = (1, 32)
PAYMENTS, HTTP_SECONDS = 9_600, 5.0
WORKERS = 2
WARM_GROUPS = 4
# What a group says to the database, by step.
STATEMENTS = {
    "open bills: one SELECT": (bills, "find_by_index"),
    "keys, bills, payments: one statement that commits": (journal, "commit_at_once"),
    "the long way: keys and bills": (journal, "begin_group"),
    "the long way: payments by COPY": (journal, "add_payments"),
    "the long way: what is paid": (bills, "save_paid"),
}
SPLIT, KERNEL = "the split: bills in, kernel, payments out", "of it the kernel"
QUEUE = "queue, group, who is told"
_WRITTEN = """
    SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS bytes,
           (SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal') AS fsyncs
"""
WRITTEN = ("bytes of WAL", "fsyncs of WAL")

# Step by step, in µs of processor time a payment unless it says otherwise.
Costs = dict[str, float]


class Clock:
    """Adds up processor time of this process by step; also what a group's observer is told."""

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = defaultdict(int)
        self.calls: Counter[str] = Counter()

    def group(self, size: int, seconds: float) -> None:
        """How large groups are is known here."""

    def split(self, seconds: float, count: int) -> None:
        """How long it took on the wall does not count here."""

    def timed(self, step: str, work: Callable[[], Any]) -> Any:
        """What `work` gives, its time added to the step's."""
        started = time.process_time_ns()
        result = work()
        self.spent_ns[step] += time.process_time_ns() - started
        return result

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Counts the steps of a commit group from their calls to their returns."""
        with contextlib.ExitStack() as stack:
            for step, (room, name) in STATEMENTS.items():
                stack.enter_context(replaced(room, name, self._statement(step, room, name)))
            stack.enter_context(replaced(GroupSplit, "run", self._call(KERNEL, GroupSplit.run)))
            split = self._call(SPLIT, CommitGroup._split)
            stack.enter_context(replaced(CommitGroup, "_split", split))
            yield

    def _statement(self, step: str, room: Any, name: str) -> Callable[..., Awaitable[Any]]:
        send: Callable[..., Awaitable[Any]] = getattr(room, name)

        async def watched(*args: Any) -> Any:
            self.calls[step] += 1
            started = time.process_time_ns()
            try:
                return await send(*args)
            finally:
                self.spent_ns[step] += time.process_time_ns() - started

        return watched

    def _call(self, step: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any) -> Any:
            return self.timed(step, lambda: work(*args))

        return watched


@contextlib.contextmanager
def replaced(room: Any, name: str, instead: Any) -> Iterator[None]:
    """A module's or class's function is another one for a while."""
    before = getattr(room, name)
    setattr(room, name, instead)
    try:
        yield
    finally:
        setattr(room, name, before)


async def path(gateway: Gateway, staged: Staged, size: int, count: int) -> Costs:
    """What `count` payments cost in groups of `size`, step by step."""
    settings = Settings(database_url=gateway.database_url, commit_lanes=1, linger_ms=0)
    conn = await asyncpg.connect(gateway.database_url)
    try:
        caller = await conn.fetchval("SELECT number FROM callers WHERE role = 'acquirer'")
        before = await conn.fetchrow(_WRITTEN)
        async with open_context(settings) as context:
            # What is kept in memory of terms and plans is there from the second group on.
            await _pay(context, caller, staged.requests(WARM_GROUPS * size), size)
            costs = await _pay(context, caller, staged.requests(count), size)
        # A server process tells what it wrote when it ends.
        after = await conn.fetchrow(_WRITTEN)
        written = [new - old for old, new in zip(before, after, strict=True)]
        paid = count + WARM_GROUPS * size
        return costs | dict(zip(WRITTEN, (each / paid for each in written), strict=True))
    finally:
        await conn.close()


async def _pay(context: Context, caller: int, requests: list[bytes], size: int) -> Costs:
    clock = Clock()
    asked = _read(clock, requests, caller)
    intake = Intake(context, clock)
    await intake.start()
    started, cpu = time.perf_counter(), time.process_time_ns()
    receipts: list[Receipt] = []
    with clock.watching():
        for at in range(0, len(asked), size):
            receipts += await _taken(intake, asked[at : at + size])
    whole_ns = time.process_time_ns() - cpu
    elapsed = time.perf_counter() - started
    await intake.drain()
    clock.spent_ns[QUEUE] = whole_ns - sum(clock.spent_ns[step] for step in (*STATEMENTS, SPLIT))
    clock.timed("answer: JSON from the plan's template, head", lambda: _answers(receipts))
    count = len(asked)
    costs = {step: spent / 1000 / count for step, spent in clock.spent_ns.items()}
    return {step: cost for step, cost in costs.items() if cost} | {
        "elapsed": elapsed / count * 1e6,
        "round trips": clock.calls.total() / count,
    }


def _read(clock: Clock, requests: list[bytes], caller: int) -> list[PaymentRequest]:
    """The payments of whole requests, read as the hot road does."""
    shape = plain.shape_of(requests[0], 0)
    if shape is None:
        raise RuntimeError("Expected the generator's requests to be plain")
    heads = clock.timed(
        "head: by the shape of the one before", lambda: [shape.read(one, 0) for one in requests]
    )
    bodies = [
        (content[head[3] : head[4]], head[0])
        for content, head in zip(requests, heads, strict=True)
        if head is not None
    ]
    reader = SingleBodies()
    found = clock.timed(
        "body: by its form, fingerprint", lambda: [reader.read(*body, caller) for body in bodies]
    )
    return [one for one in found if isinstance(one, PaymentRequest)]


async def _taken(intake: Intake, requests: list[PaymentRequest]) -> list[Receipt]:
    told: list[Receipt | Exception] = []
    all_told = asyncio.Event()

    def tell(outcome: Receipt | Exception) -> None:
        told.append(outcome)
        if len(told) == len(requests):
            all_told.set()

    for request in requests:
        intake.enqueue_telling(request, tell)
    await all_told.wait()
    receipts = [outcome for outcome in told if isinstance(outcome, Receipt)]
    if len(receipts) < len(told):
        raise RuntimeError(f"Expected receipts alone, was {told}")
    return receipts


def _answers(receipts: list[Receipt]) -> None:
    for receipt in receipts:
        Reply(replies.CREATED, encode.payment(receipt.payment)).whole()


def over_http(gateway: Gateway, staged: Staged, connections: int, seconds: float) -> Costs:
    """Processor time a payment of the workers, of PostgreSQL and of the load generator."""
    staged.closed(1.0, connections)
    before = cpu_s_by_child(gateway.process_id, "worker")
    outcome = staged.closed(seconds, connections)
    after = cpu_s_by_child(gateway.process_id, "worker")
    spent = [
        (end - start) / outcome.answers * 1e6 for start, end in zip(before, after, strict=True)
    ]
    return {
        "worker, all of it": spent[0],
        "PostgreSQL, all of it": spent[1],
        "load generator": outcome.cpu_seconds / outcome.answers * 1e6,
        "p50, µs": outcome.latency_ms["p50"] * 1000,
    }


async def floors(gateway: Gateway, folder: Path, rounds: int = 2_000) -> Costs:
    """What nothing can be below: one empty statement and its answer, one write made durable."""
    conn = await asyncpg.connect(gateway.database_url)
    try:
        statement = await conn.prepare("SELECT 1")
        started, cpu = time.perf_counter(), time.process_time_ns()
        for _ in range(rounds):
            await statement.fetchval()
        spent_us = (time.process_time_ns() - cpu) / 1000 / rounds
        elapsed_us = (time.perf_counter() - started) * 1e6 / rounds
    finally:
        await conn.close()
    return {
        "an empty round trip, this process": spent_us,
        "an empty round trip, elapsed": elapsed_us,
        "8 kB made durable, elapsed": sync_s(folder) * 1e6,
    }


def table(titles: list[str], columns: list[Costs]) -> str:
    """A row a step, a column a way of paying."""
    steps = list(dict.fromkeys(step for column in columns for step in column))
    lines = [f"| step | {' | '.join(titles)} |", "| --- |" + " ---: |" * len(titles)]
    for step in steps:
        shown = [f"{column[step]:.2f}" if step in column else "–" for column in columns]
        lines.append(f"| {step} | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.path", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--payments", type=int, default=PAYMENTS, help="[%(default)s]")
    asked = parser.parse_args()
    with running_gateway(WORKERS, asked.folder) as gateway:
        staged = Staged(gateway, MANY_PAYERS_MANY_RECIPIENTS, "path")
        staged.closed(1.0)
        columns = [
            uvloop.run(path(gateway, staged, size, asked.payments // (5 if size == 1 else 1)))
            for size in GROUPS
        ]
        print(table([f"in groups of {size}" for size in GROUPS], columns), end="\n\n")
        ways = {"one connection": 1, f"{CONNECTIONS} connections": CONNECTIONS}
        http = [over_http(gateway, staged, many, HTTP_SECONDS) for many in ways.values()]
        print(table([*ways], http), end="\n\n")
        print(table(["floor"], [uvloop.run(floors(gateway, asked.folder))]))


if __name__ == "__main__":
    main()
