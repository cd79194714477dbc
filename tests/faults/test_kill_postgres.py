"""kill -9 of PostgreSQL under load: what was answered is there once, and payments go on.

The control does the same to a server that answers before its log is on the disk; it must lose
payments, and the judge must see it.
"""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.audit import report
from gateway.storage.embedded import pgdata_of, socket_dir_of
from gateway.storage.postgres import ALLOW_NOT_DURABLE
from gateway.storage.postmaster import url_at
from tests.faults.conftest import region_for_payers
from tests.faults.history import History, complaints, stored
from tests.faults.payers import Payers
from tests.faults.processes import SERVING_AGAIN_S, Database, Gateway, kill_tree

# A commit is answered from memory, and its log goes to the disk some time later.
ANSWERED_TOO_EARLY = {
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "2GB",
}
CONTROL_ROUNDS = 10


async def serving(folder: Path, database: Database, **environ: str) -> Gateway:
    gateway = Gateway(folder, "--database", database.url, "--workers", "2", **environ)
    await gateway.start()
    return gateway


@pytest.fixture
async def gateway(database: Database, secret: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    made = await serving(tmp_path, database)
    yield made
    made.stop()


async def kill_and_start(database: Database, dice: random.Random, round_: int) -> None:
    """In turn everything, the postmaster alone, everything, and one of its processes."""
    if round_ % 4 == 1:
        database.kill_postmaster()
    elif round_ % 4 == 3:
        await database.kill_one(dice)
        return
    else:
        database.kill(dice)
    await database.start_again()


async def test_no_acknowledged_payment_is_lost_or_doubled_when_postgresql_is_killed(
    database: Database, gateway: Gateway, secret: str, history: History, rounds: int
) -> None:
    dice = random.Random(30)
    payers = Payers(history, secret, gateway.port, seed=4)
    workers = gateway.workers()
    for round_ in range(rounds):
        async with payers.paying():
            await payers.more(dice.randint(30, 150))
            await kill_and_start(database, dice, round_)
            await payers.more(30, SERVING_AGAIN_S)
        assert complaints(history.sent, await stored(database.url), settled=False) == []
        await payers.find_out()
    assert complaints(history.sent, await stored(database.url), settled=True) == []
    assert set(payers.answers) <= {201, 503}
    assert gateway.workers() == workers, "Expected workers to outlive their database"
    for sent in dice.sample(history.sent, 20):
        assert await payers.ask_again(sent)
    assert (await report.run(database.url))["problems"] == []


async def test_control_a_server_that_answers_too_early_loses_payments(
    tmp_path: Path, history: History
) -> None:
    database = Database(tmp_path / "pg", ANSWERED_TOO_EARLY)
    gateway = None
    try:
        secret = await region_for_payers(database.url)
        # The region itself stays; only payments after this are at stake.
        await database.checkpoint()
        gateway = await serving(tmp_path, database, **{ALLOW_NOT_DURABLE: "1"})
        dice = random.Random(31)
        payers = Payers(history, secret, gateway.port, seed=5)
        found: list[str] = []
        for _ in range(CONTROL_ROUNDS):
            async with payers.paying():
                await payers.more(dice.randint(30, 150))
                database.kill(dice)
                await database.start_again()
            found = complaints(history.sent, await stored(database.url), settled=False)
            if found:
                break
    finally:
        if gateway is not None:
            gateway.stop()
        database.stop()
    assert any("acknowledged and is lost" in line for line in found)


async def test_the_gateway_starts_its_own_postgresql_again(
    tmp_path: Path, history: History
) -> None:
    folder = tmp_path / "var"
    dice = random.Random(32)
    gateway = Gateway(tmp_path, "--data", str(folder), "--workers", "2")
    await gateway.start()
    try:
        url = url_at(socket_dir_of(folder))
        payers = Payers(history, await region_for_payers(url), gateway.port, seed=6)
        for _ in range(3):
            async with payers.paying():
                await payers.more(50)
                kill_tree(pgdata_of(folder), dice)
                await payers.more(30, SERVING_AGAIN_S)
            await payers.find_out()
            assert complaints(history.sent, await stored(url), settled=True) == []
        # And everything at once, as in a power cut.
        async with payers.paying():
            await payers.more(50)
            gateway.kill(dice)
            await gateway.start()
            await payers.more(30, SERVING_AGAIN_S)
        await payers.find_out()
        assert complaints(history.sent, await stored(url), settled=True) == []
        assert (await report.run(url))["problems"] == []
        assert await gateway.terminate() == 0
    finally:
        gateway.stop()
