"""A database that was put back is noticed by itself, whatever put it back; and nothing else is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gateway.domain.clock import SystemClock
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import batch_life, notice_restore
from gateway.settlement import store_restores, witness
from gateway.settlement.witness import APPROVED, SENT, Mark
from gateway.storage.embedded import EmbeddedPostgres
from tests.flows.copies import dump, living, put_back
from tests.flows.region import Region, Worker, batch_id, bill
from tests.flows.test_after_restore import HELD, lift, standing


async def close(region: Region, on: Worker, key: str) -> UUID:
    return batch_id((await region.close(f"close {key}", on=on))["id"])


async def send(region: Region, on: Worker, key: str, batch: UUID) -> None:
    claim = region.claim("op", f"send {key}", "payout_claims", batch)
    await batch_life.send(on.context, claim, region.callers["op"], batch)


async def pay_out(region: Region, on: Worker, key: str, *, sent: bool = True) -> UUID:
    await region.pay(f"pay {key}", "A", 10_000)
    batch = await close(region, on, key)
    await region.approve(f"approve {key}", batch, on=on)
    if sent:
        await send(region, on, key, batch)
    return batch


@asynccontextmanager
async def again(file: Path, url: str, where: Path | None) -> AsyncIterator[tuple[Region, Worker]]:
    """The database put back, and a gateway on it that has this witness."""
    await put_back(file, url)
    async with living(url) as region, region.working(witness=where) as worker:
        yield region, worker


async def found(region: Region) -> list[str]:
    return [one["found"] for one in (await standing(region))["restores"]]


@pytest.mark.parametrize("sent", [False, True])
async def test_a_gateway_remembers_what_a_copy_of_the_database_has_lost(
    region: Region, empty_database_url: str, tmp_path: Path, sent: bool
) -> None:
    """Approved before the copy and sent after it, or approved after it: both are lost."""
    where = tmp_path / "witness"
    await region.load(bill("A"))
    async with region.working(witness=where) as worker:
        first = await pay_out(region, worker, "1", sent=False)
        await dump(region.url, tmp_path / "dump")
        await (send(region, worker, "1", first) if sent else pay_out(region, worker, "2"))
    async with again(tmp_path / "dump", empty_database_url, where) as (copy, worker):
        batch = await close(copy, worker, "3")
        with pytest.raises(Refusal, match=HELD):
            await copy.approve("a3", batch, on=worker)
        assert await found(copy) == ["witness"]
        # What is held once is not held again, and what was lifted stays so.
        await notice_restore.notice(worker.context)
        await lift(copy)
        await notice_restore.notice(worker.context)
        assert await found(copy) == ["witness"]
        await copy.approve("b3", batch, on=worker, override="the bank has none of its orders")
        await pay_out(copy, worker, "4")


async def test_each_time_it_is_put_back_is_noticed(
    region: Region, empty_database_url: str, plain_copy_url: str, tmp_path: Path
) -> None:
    where = tmp_path / "witness"
    await region.load(bill("A"))
    async with region.working(witness=where) as worker:
        await notice_restore.notice(worker.context)
        await dump(region.url, tmp_path / "dump")
        await pay_out(region, worker, "1")
    for url in (empty_database_url, plain_copy_url):
        async with again(tmp_path / "dump", url, where) as (copy, worker):
            await notice_restore.notice(worker.context)
            assert await found(copy) == ["witness"]
            await lift(copy)
            await pay_out(copy, worker, "again")


@pytest.fixture
def plain_copy_url(database_server: Any) -> Any:
    name = database_server.create()
    yield database_server.url(name)
    database_server.drop(name)


async def test_a_dump_on_another_server_is_noticed_once(region: Region) -> None:
    worker = region.worker
    await notice_restore.notice(worker.context)
    await notice_restore.notice(worker.context)
    assert await found(region) == []
    assert await region.number("SELECT count(*) FROM served_by") == 1
    installation = await region.conn.fetchval("SELECT installation FROM served_by")
    # As a dump has it that was made on another server.
    await region.conn.execute("UPDATE served_by SET system_identifier = '7'")
    await asyncio.gather(*(notice_restore.notice(worker.context) for _ in range(4)))
    assert await found(region) == ["server"]
    await lift(region)
    await notice_restore.notice(worker.context)
    assert await found(region) == ["server"]
    rows = await region.conn.fetch("SELECT DISTINCT installation FROM served_by")
    assert [row["installation"] for row in rows] == [installation]


async def test_a_dump_put_into_another_cluster_is_noticed(region: Region, tmp_path: Path) -> None:
    """Really another one: its own initdb, and no witness of anything."""
    await region.load(bill("A"))
    await pay_out(region, region.worker, "1")
    await dump(region.url, tmp_path / "dump")
    server = EmbeddedPostgres(tmp_path / "other")
    await asyncio.to_thread(server.start)
    try:
        async with again(tmp_path / "dump", server.url, None) as (copy, worker):
            await copy.pay("p", "A", 5_000)
            batch = await close(copy, worker, "2")
            with pytest.raises(Refusal, match=HELD):
                await copy.approve("a2", batch, on=worker)
            assert await found(copy) == ["server"]
    finally:
        await asyncio.to_thread(server.stop)


async def test_nothing_ordinary_is_taken_for_a_restore(region: Region, tmp_path: Path) -> None:
    """Restarts, a second gateway without a witness, cancellations, other databases' files."""
    where = tmp_path / "witness"
    await region.load(bill("A"))
    async with region.working(witness=where) as worker:
        await pay_out(region, worker, "1")
        batch = await pay_out(region, worker, "2", sent=False)
        claim = region.claim("boss", "x", "cancellations")
        await batch_life.cancel(worker.context, claim, region.callers["boss"], batch, "so")
        # The same request again, and a file that is fetched again.
        await region.approve("approve 2", batch, on=worker)
        await pay_out(region, region.worker, "3")
    (kept,) = where.iterdir()
    (where / f"{'0' * 32}.json").write_bytes(b"[]")
    async with region.working(witness=where) as worker:
        await notice_restore.notice(worker.context)
        await pay_out(region, worker, "4")
    assert await found(region) == []
    marks = witness.read(where, UUID(hex=kept.stem))
    assert [mark.state for mark in marks] == [APPROVED, SENT, APPROVED, APPROVED, SENT]


async def test_no_file_leaves_that_nobody_would_remember(region: Region, tmp_path: Path) -> None:
    where = tmp_path / "witness"
    await region.load(bill("A"))
    async with region.working(witness=where) as worker:
        batch = await pay_out(region, worker, "1", sent=False)
        (kept,) = where.iterdir()
        content = kept.read_bytes()
        where.rename(tmp_path / "away")
        where.write_bytes(b"")
        context, op = worker.context, region.callers["op"]
        for _ in range(2):
            with pytest.raises(Unavailable, match="witness"):
                await batch_life.fetch(context, op, batch, "1c")
        where.unlink()
        (tmp_path / "away").rename(where)
        kept.write_bytes(b"[torn")
        with pytest.raises(Unavailable, match="no list of marks"):
            await batch_life.fetch(context, op, batch, "1c")
        kept.write_bytes(content)
        _, now = await batch_life.fetch(context, op, batch, "1c")
        assert now
        marks = witness.read(where, UUID(hex=kept.stem))
        assert [(mark.batch, mark.state) for mark in marks] == [(batch, APPROVED), (batch, SENT)]


def test_marks_of_many_workers_and_of_months(tmp_path: Path) -> None:
    installation, now = UUID(int=1), SystemClock().now()
    for n in range(witness.KEPT_MAX + 3):
        at = now + timedelta(seconds=n)
        for _ in range(2):
            witness.remember(tmp_path, installation, Mark(UUID(int=n), SENT, at))
    marks = witness.read(tmp_path, installation)
    assert [mark.batch.int for mark in marks] == list(range(3, witness.KEPT_MAX + 3))
    assert witness.read(tmp_path, UUID(int=2)) == []


async def test_a_server_that_tells_nothing_is_no_other(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def untold(_: Any) -> str:
        return store_restores.UNTOLD

    await notice_restore.notice(region.worker.context)
    with monkeypatch.context() as patched:
        patched.setattr(store_restores, "server", untold)
        await notice_restore.notice(region.worker.context)
    await notice_restore.notice(region.worker.context)
    async with region.worker.context.connection() as conn:
        assert await store_restores.unlifted(conn) == []
