"""Workers are replaced under load, and no request fails: neither refused, nor dropped, nor 503.

Callers here keep their connections and send nothing twice, so a connection that is closed on them
without a word costs an answer. The control kills the workers instead, and must cost answers.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from gateway.audit import report
from tests.faults.history import History, complaints, stored
from tests.faults.payers import Payers, until
from tests.faults.processes import SERVING_AGAIN_S, Database, Gateway
from tests.faults.test_kill_gateway import counters

WORKERS = 2
ROLLS = 4
ANSWER_S = 20


@pytest.fixture
async def gateway(database: Database, secret: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, "--database", database.url, "--workers", str(WORKERS))
    await made.start()
    yield made
    made.stop()


async def test_no_request_fails_while_workers_are_replaced(
    database: Database, gateway: Gateway, secret: str, history: History
) -> None:
    payers = Payers(history, secret, gateway.port, seed=11, idle_s=0.5)
    before: dict[str, float] = {}
    async with payers.paying(), asyncio.TaskGroup() as tasks:
        done = asyncio.Event()
        newcomers = tasks.create_task(come_and_go(gateway.port, done))
        try:
            for _ in range(ROLLS):
                await payers.more(200)
                await gateway.replace_workers()
                await payers.more(100)
                now = counters(await payers.metrics())
                assert [name for name, value in before.items() if now.get(name, 0) < value] == []
                before = now
        finally:
            done.set()
    assert newcomers.result() > 0
    assert (payers.failed, set(payers.answers), history.unknown()) == (0, {201}, [])
    assert before['kopeck_restarts_total{process="worker"}'] == 0
    assert complaints(history.sent, await stored(database.url), settled=True) == []
    assert (await report.run(database.url))["problems"] == []
    assert await gateway.terminate() == 0


async def come_and_go(port: int, done: asyncio.Event) -> int:
    """Callers with a new connection each time, one after another; how many there were."""
    count = 0
    while not done.is_set() and count < 100_000:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session,
            session.get(f"http://127.0.0.1:{port}/healthz") as answer,
        ):
            assert answer.status == 200
        count += 1
        await asyncio.sleep(0.005)
    return count


async def test_control_killed_workers_cost_answers(
    database: Database, gateway: Gateway, secret: str, history: History
) -> None:
    payers = Payers(history, secret, gateway.port, seed=12, idle_s=0.5)
    dice = random.Random(50)
    async with payers.paying():
        for _ in range(ROLLS):
            await payers.more(200)
            await gateway.kill_worker(dice, WORKERS)
        await payers.more(100)
    assert payers.failed > 0
    assert history.unknown() != []


@pytest.mark.parametrize("road", ["plain", "odd"])
async def test_a_connection_that_rests_is_told_before_it_ends(
    gateway: Gateway, secret: str, road: str
) -> None:
    """On the hot road and on that of aiohttp, which an odd head leads to."""
    old = set(gateway.workers())
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        assert b"connection: close" not in await paid(reader, writer, secret, "first", road)
        os.kill(gateway.pid, signal.SIGHUP)
        # Its worker waits for it, beside those that came.
        await until(
            lambda: len(set(gateway.workers()) - old) >= 1 and len(gateway.workers()) > WORKERS,
            SERVING_AGAIN_S,
            "a worker beside the one that leaves",
        )
        for number in range(100):
            head = await paid(reader, writer, secret, f"next-{number}", road)
            if b"connection: close" in head:
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("Expected an answer that says it is the last")
        assert await asyncio.wait_for(reader.read(), ANSWER_S) == b""
    finally:
        writer.close()


async def paid(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: str, key: str, road: str
) -> bytes:
    """The head, in small letters, of the answer to a payment sent on this connection."""
    body = b'{"subscriber_account":"A1","amount":100,"method":{"type":"card"}}'
    odd = "X-Odd: 1\r\n" if road == "odd" else ""
    writer.write(
        f"POST /v1/payments HTTP/1.1\r\nHost: pay\r\nAuthorization: Bearer {secret}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\n{odd}"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S)).lower()
    assert head.startswith(b"http/1.1 201")
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    await asyncio.wait_for(reader.readexactly(length), ANSWER_S)
    return head


async def test_who_comes_while_a_worker_is_dead_waits_and_is_answered(
    database: Database, secret: str, tmp_path: Path
) -> None:
    """The listening socket is the supervisor's: a dead worker's callers queue for the next."""
    alone = Gateway(tmp_path, "--database", database.url, "--workers", "1")
    try:
        await alone.start()
        (pid,) = alone.workers()
        os.kill(pid, signal.SIGKILL)
        reader, writer = await asyncio.open_connection("127.0.0.1", alone.port)
        await paid(reader, writer, secret, "queued", "plain")
        writer.close()
        assert pid not in alone.workers()
    finally:
        alone.stop()


async def test_workers_stay_where_the_schema_is_not_the_programs(
    database: Database, gateway: Gateway, secret: str, history: History
) -> None:
    before = gateway.workers()
    conn = await asyncpg.connect(database.url)
    try:
        await conn.execute("UPDATE schema_migrations SET sha256 = '' WHERE number = 1")
    finally:
        await conn.close()
    os.kill(gateway.pid, signal.SIGHUP)
    await until(lambda: "workers stay as they were" in gateway.said(), 30, "a word about it")
    assert gateway.workers() == before
    payers = Payers(history, secret, gateway.port, seed=13)
    async with payers.paying():
        await payers.more(20)
    assert payers.failed == 0
