"""Payers wait for nobody who waits: who holds up a close holds up everybody behind it."""

import asyncio
import threading
import time
from typing import Any

import pytest

from gateway.domain.refusals import Refusal
from gateway.flows import batch_life, payout_files
from gateway.journal.db_transaction import CUT_LOCK
from tests.flows.region import Region, batch_id, bill
from tests.flows.test_obligations import CHARGES, ask, debt, owe

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
HOLDING_UP = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1"


async def until(region: Region, query: str, wanted: int) -> None:
    for _ in range(6_000):
        if await region.number(query) == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"Expected {wanted} of {query}")


async def test_who_asks_for_a_withdrawal_while_a_batch_is_counted_holds_nobody_up(
    region: Region,
) -> None:
    await region.load(bill("A", *CHARGES))
    (one,) = await owe(region, "d", debt(5_000))
    counting = region.conn.transaction()
    await counting.start()
    # As the count has it that pays on the debt, for as long as it takes.
    await region.conn.execute("SELECT 1 FROM open_obligations FOR UPDATE")
    asked = asyncio.create_task(ask(region, "a", one, 1_000))
    await until(region, WAITING, 1)
    assert await region.number(HOLDING_UP, CUT_LOCK) == 0
    # A close waits for whoever holds the lock, and payers wait behind a close.
    closed = asyncio.create_task(region.close("c"))
    await until(region, "SELECT settlement_batch FROM cut", 2)
    await region.pay("p", "A", 1_000)
    assert not asked.done()
    await counting.rollback()
    await asyncio.gather(asked, closed)


@pytest.mark.parametrize("what", ["approve", "cancel"])
async def test_a_batch_that_somebody_works_on_is_refused_and_not_waited_for(
    region: Region, what: str
) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    batch = batch_id((await region.close("c"))["id"])

    async def act() -> None:
        if what == "approve":
            await region.approve("x", batch)
        else:
            claim = region.claim("boss", "x", "cancellations", batch)
            boss = region.callers["boss"]
            await batch_life.cancel(region.worker.context, claim, boss, batch, "a mistake")

    working = region.conn.transaction()
    await working.start()
    await region.conn.execute("UPDATE settlement_batches SET state = state")
    with pytest.raises(Refusal, match="state_conflict"):
        await act()
    await working.rollback()
    # The key was not used up; and what only names the batch is in nobody's way.
    async with region.conn.transaction():
        await region.conn.execute("SELECT 1 FROM settlement_batches FOR KEY SHARE")
        await act()


async def test_payers_do_not_wait_for_files_of_many_orders(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take seconds, longer than the database lets a transaction be idle."""
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    batch = batch_id((await region.close("c"))["id"])
    begun, paid = threading.Event(), threading.Event()
    written = payout_files._files

    def slow(*told: Any) -> Any:
        begun.set()
        assert paid.wait(60)
        time.sleep(0.5)
        return written(*told)

    monkeypatch.setattr(payout_files, "_files", slow)
    async with region.working(idle_in_transaction_ms=200) as worker:
        approving = asyncio.create_task(region.approve("a", batch, on=worker))
        for _ in range(6_000):
            if begun.is_set():
                break
            await asyncio.sleep(0.01)
        assert begun.is_set()
        # The same worker takes a payment meanwhile.
        await worker.intake.accept(region.payment("meanwhile", "A", 2_000))
        paid.set()
        assert (await approving)["state"] == "approved"
