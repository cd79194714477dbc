"""A commit whose answer is lost is unknown until its key tells: nothing twice, nothing lost."""

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain.bill import Charge
from gateway.domain.payment import Receipt
from gateway.domain.refusals import Unavailable
from gateway.flows import accept_payment
from gateway.flows.find_payments import find
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, SILENT_AFTER, LosingWire
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, Worker, batch_id, bill, know_terms, receipts_of

FATES = [LOST_BEFORE, LOST_AFTER, SILENT_AFTER]


@pytest.fixture
async def wire(region: Region, tmp_path: Path) -> AsyncIterator[LosingWire]:
    async with LosingWire(region.url, tmp_path).open() as opened:
        yield opened


@pytest.fixture(params=["at once", "the long way"])
async def worker(
    request: pytest.FixtureRequest,
    region: Region,
    wire: LosingWire,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Worker]:
    """A worker behind the wire, impatient enough for a test with silences."""
    impatient: dict[str, Any] = {"statement_timeout_ms": 200, "lock_timeout_ms": 100}
    if request.param == "the long way":
        monkeypatch.setattr(accept_payment, "AT_ONCE_MAX", 0)
    async with region.working(url=wire.url, **impatient) as made:
        await know_terms(made)
        yield made


def lose(wire: LosingWire, *fates: str | None) -> None:
    """Decides over the next commits; those decided over before must all have been sent."""
    assert list(wire.fates) == []
    wire.fates = iter(fates)


@pytest.mark.parametrize("fate", FATES)
async def test_a_group_whose_commit_is_lost_is_answered_once_it_is_found_out(
    region: Region, wire: LosingWire, worker: Worker, fate: str
) -> None:
    await region.load(bill("A"))
    wire.fates = iter([fate, fate])
    requests = [region.payment(f"p{n}", "A", 100 + n) for n in range(8)]
    requests.append(region.payment("held", "nowhere", 50))
    receipts = await asyncio.gather(*map(worker.intake.accept, requests))
    assert wire.commits >= 3
    assert [receipt.payment.amount for receipt in receipts] == [*range(100, 108), 50]
    assert not any(receipt.replayed for receipt in receipts), "they asked once"
    assert await region.number("SELECT count(*) FROM payments") == 9
    assert await check_splits(region.conn, region.loaded) == 8
    await check_books(region.conn)
    for receipt in receipts:
        found = await find(worker.context, region.callers["bank"], receipt.payment.id)
        assert found == receipt.payment


async def test_an_outcome_that_stays_unknown_is_unavailable_and_replays_by_its_key(
    region: Region, wire: LosingWire
) -> None:
    await region.load(bill("A"))
    async with region.working(url=wire.url, commit_deadline_ms=100) as worker:
        wire.fates = chain([LOST_AFTER], repeat(LOST_BEFORE))
        with pytest.raises(Unavailable) as told:
            await worker.intake.accept(region.payment("p", "A", 500))
        assert told.value.code == "unavailable"
    again = await region.worker.intake.accept(region.payment("p", "A", 500))
    assert again.replayed
    assert await region.number("SELECT count(*) FROM payments") == 1
    await check_books(region.conn)


@pytest.mark.parametrize("fate", [LOST_BEFORE, LOST_AFTER])
async def test_everything_with_a_key_happens_once_though_its_commit_is_lost(
    region: Region, wire: LosingWire, worker: Worker, fate: str
) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 5_000)
    held = await region.pay("h", "nowhere", 700)
    usual, region.worker = region.worker, worker
    try:
        lose(wire, fate, fate)
        refund = await region.refund("r", payment.id, 300)
        lose(wire, fate, fate)
        await region.resolve("v", held.id, "A")
        lose(wire, fate, fate)
        await region.load(bill("A", Charge("waste", "waste", 9_000)))
        # The cut and the count are two commits.
        lose(wire, fate, None, fate)
        closed = await region.close("c")
        # What is to be paid is added up by a transaction of its own.
        lose(wire, fate, None, fate)
        approved = await region.approve("a", batch_id(closed["id"]))
        lose(wire)
    finally:
        region.worker = usual
    assert refund == await region.refund("r", payment.id, 300)
    assert closed == await region.close("c")
    assert approved == await region.approve("a", batch_id(closed["id"]))
    for table, rows in (
        ("refunds", 1), ("resolutions", 1), ("settlement_batches", 1), ("payout_files", 3),
    ):  # fmt: skip
        assert await region.number(f"SELECT count(*) FROM {table}") == rows, table
    assert closed["payments"] == 2
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_a_caller_that_leaves_neither_loses_nor_doubles_its_payment(
    region: Region, wire: LosingWire, worker: Worker
) -> None:
    await region.load(bill("A"))
    for n, fate in enumerate((None, LOST_AFTER, LOST_BEFORE)):
        wire.fates = iter([fate])
        wire.at_commit.clear()
        leaving = asyncio.create_task(worker.intake.accept(region.payment(f"p{n}", "A", 100)))
        staying = asyncio.create_task(worker.intake.accept(region.payment(f"q{n}", "A", 200)))
        await asyncio.wait_for(wire.at_commit.wait(), 5)
        leaving.cancel()
        assert (await staying).payment.amount == 200
        again = await worker.intake.accept(region.payment(f"p{n}", "A", 100))
        assert again.replayed, "the payment of a caller that left is durable all the same"
    assert await check_splits(region.conn, region.loaded) == 6
    await check_books(region.conn)


async def test_a_refund_cancelled_at_its_commit_is_one_refund(
    region: Region, wire: LosingWire, worker: Worker
) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 5_000)
    for n in range(10):
        wire.at_commit.clear()
        leaving = asyncio.create_task(region.refund(f"r{n}", payment.id, 100, on=worker))
        await asyncio.wait_for(wire.at_commit.wait(), 5)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await region.refund(f"r{n}", payment.id, 100, on=worker)
    assert await region.number("SELECT sum(amount) FROM refunds") == 1_000
    assert await region.number(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        " AND datname = current_database()"
    ) == 0  # fmt: skip
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_connections_ended_in_the_middle_of_traffic_lose_nothing(region: Region) -> None:
    await region.load(*(bill(f"A{n}") for n in range(5)))
    dice = random.Random(40)
    ended = 0

    async def end_some() -> None:
        nonlocal ended
        for _ in range(25):
            # Whatever is at work just now: a statement, or a commit.
            rows = await region.conn.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND state <> 'idle' LIMIT 1"
            )
            ended += len(rows)
            await asyncio.sleep(dice.random() * 0.02)

    async def pay(worker: Worker, name: str) -> list[Receipt | Exception]:
        requests = [
            region.payment(f"{name}{n}", f"A{dice.randrange(6)}", dice.randint(1, 999))
            for n in range(400)
        ]
        alone = [await worker.intake.submit([request]) for request in requests[:200]]
        bunches = [await worker.intake.submit(requests[at : at + 4]) for at in range(200, 400, 4)]
        return [told for answer in alone + bunches for told in await answer]

    async with (
        region.working(group_size_max=5, queue_max=20) as one,
        region.working(group_size_max=8, queue_max=20, commit_lanes=2) as other,
    ):
        *outcomes, _ = await asyncio.gather(pay(one, "p"), pay(other, "q"), end_some())
    assert len(receipts_of([receipt for told in outcomes if told for receipt in told])) == 800
    assert ended > 5
    assert await region.number("SELECT count(*) FROM payments") == 800
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_debits_equal_credits_at_every_commit(region: Region) -> None:
    await region.load(*(bill(f"A{n}") for n in range(4)))
    watcher = await asyncpg.connect(region.url)
    looked = 0
    try:
        async with region.working(group_size_max=4) as other, asyncio.TaskGroup() as tasks:
            paid = [await region.pay(f"p{n}", f"A{n % 5}", 3_000) for n in range(10)]
            work = [
                *(region.refund(f"r{n}", payment.id, 300 + n) for n, payment in enumerate(paid)),
                *(region.resolve(f"v{n}", paid[n].id, "A1") for n in (4, 9)),
                *(region.pay(f"q{n}", f"A{n % 5}", 700 + n) for n in range(150)),
                *(other.intake.accept(region.payment(f"s{n}", "A2", 9)) for n in range(150)),
                region.close("c1"),
                region.close("c2", on=other),
            ]
            running = [tasks.create_task(one) for one in work]
            while not all(task.done() for task in running):
                row = await watcher.fetchrow(
                    "SELECT count(*), sum(debit_kopecks - credit_kopecks) FROM ledger"
                )
                assert row is not None
                assert row[1] == 0
                looked += 1
    finally:
        await watcher.close()
    assert looked > 3
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)
