"""A biller's payment whose commit is lost: never told as failed, one payment, one number."""

import asyncio
from collections.abc import AsyncIterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.billers.verdicts import verdict_of
from gateway.bills import store as bill_store
from gateway.domain import biller as words
from gateway.domain.bill import OpenBill
from gateway.domain.biller import Asked, Told
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import serve_biller
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, SILENT_AFTER, LosingWire
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, Worker, bill

PAY = Asked(
    protocol=words.OSMP,
    by_osmp_names=True,
    command=words.PAY,
    number="1234567",
    account="A",
    total=20_000,
)
CHECK = Asked(
    protocol=words.OSMP,
    by_osmp_names=True,
    command=words.CHECK,
    account="A",
    total=20_000,
)
CANCEL = Asked(
    protocol=words.OSMP,
    by_osmp_names=True,
    command=words.CANCEL,
    number="2",
    cancels="1234567",
)


@pytest.fixture
async def wire(region: Region, tmp_path: Path) -> AsyncIterator[LosingWire]:
    async with LosingWire(region.url, tmp_path).open() as opened:
        yield opened


async def answer(region: Region, worker: Worker, asked: Asked) -> Told:
    return await serve_biller.answer(worker.context, worker.intake, region.callers["bank"], asked)


@pytest.mark.parametrize("fate", [LOST_BEFORE, LOST_AFTER, SILENT_AFTER])
async def test_a_lost_commit_is_found_out_before_the_answer(
    region: Region, wire: LosingWire, fate: str
) -> None:
    await region.load(bill("A"))
    async with region.working(
        url=wire.url, statement_timeout_ms=200, lock_timeout_ms=100
    ) as worker:
        for asked in (PAY, CANCEL):
            wire.fates = iter([fate, fate])
            told = await answer(region, worker, asked)
            assert told.verdict == words.DONE
            again = await answer(region, region.worker, asked)
            assert (again.verdict, again.number) == (words.REPEATED, told.number)
    for table in ("payments", "refunds"):
        assert await region.number(f"SELECT count(*) FROM {table}") == 1
    assert await region.number("SELECT count(*) FROM biller_numbers") == 2
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_what_stays_unknown_is_unfinished_and_paid_once(
    region: Region, wire: LosingWire
) -> None:
    await region.load(bill("A"))
    async with region.working(url=wire.url, commit_deadline_ms=100) as worker:
        wire.fates = chain([LOST_AFTER], repeat(LOST_BEFORE))
        with pytest.raises(Unavailable) as unknown:
            await answer(region, worker, PAY)
    assert verdict_of(unknown.value, words.PAY) == words.UNFINISHED
    again = await answer(region, region.worker, PAY)
    assert again.verdict == words.REPEATED
    assert await region.number("SELECT count(*) FROM payments") == 1
    await check_books(region.conn)


async def test_a_payment_without_its_number_gets_it_from_the_repeat(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    await region.load(bill("A"))

    async def fail(*told: object) -> int:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(serve_biller, "_number_of", fail)
        with pytest.raises(ConnectionResetError):
            await answer(region, region.worker, PAY)
    told = await answer(region, region.worker, PAY)
    assert told.verdict == words.REPEATED
    assert told.number == (await answer(region, region.worker, PAY)).number
    assert await region.number("SELECT count(*) FROM payments") == 1


async def test_one_number_however_many_ask_for_it_at_once(region: Region) -> None:
    await region.load(bill("A"))
    async with region.working() as other:
        workers = (region.worker, other) * 10
        told = await asyncio.gather(*(answer(region, worker, PAY) for worker in workers))
    assert len({one.number for one in told}) == 1
    assert [one.verdict for one in told].count(words.DONE) == 1
    with pytest.raises(Exception, match="biller_numbers"):
        await region.conn.execute("UPDATE biller_numbers SET resource = gen_random_uuid()")


async def test_a_check_tells_of_one_moment_though_the_bill_is_paid_meanwhile(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is owed, what is advised and whether a sum is taken are of the bill that was read."""
    await region.load(bill("A", overpayment="reject"))
    payer_of = bill_store.payer_of

    async def pay_first(conn: Any, read: OpenBill) -> object:
        await region.pay("meanwhile", "A", 121_000)
        return await payer_of(conn, read)

    monkeypatch.setattr(bill_store, "payer_of", pay_first)
    told = await answer(region, region.worker, CHECK)
    assert (told.verdict, told.due, told.recommended) == (words.DONE, 121_000, 121_000)
    monkeypatch.undo()
    told = await answer(region, region.worker, structs.replace(CHECK, total=None))
    assert (told.verdict, told.due, told.recommended) == (words.DONE, 0, 0)
    with pytest.raises(Refusal, match="overpay"):
        await answer(region, region.worker, CHECK)
