"""kill -9 in the middle of a bulk stream, while several groups of it are being committed at once.

Whatever line was answered is there, once, and the same stream sent again ends whole: each payment
once, as it was told the first time. The control is a server that answers before its log is on the
disk.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from gateway.audit import report
from gateway.storage.postgres import ALLOW_NOT_DURABLE
from tests.faults.conftest import region_for_payers
from tests.faults.history import History, complaints, stored
from tests.faults.payers import until
from tests.faults.processes import Database, Gateway
from tests.faults.streams import Register
from tests.faults.test_kill_postgres import ANSWERED_TOO_EARLY, CONTROL_ROUNDS

LINES = 3_000
ROUNDS = 2
# Of groups that are copied, and small enough for many to be on their way.
SETTINGS = {"KOPECK_COMMIT_LANES": "4", "KOPECK_GROUP_SIZE_MAX": "200"}
_WRITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""

Kill = Callable[[], Awaitable[None]]


async def serving(folder: Path, database: Database, **environ: str) -> Gateway:
    gateway = Gateway(
        folder, "--database", database.url, "--workers", "1", **{**SETTINGS, **environ}
    )
    await gateway.start()
    return gateway


async def broken_off(
    register: Register, dice: random.Random, url: str, kill: Kill
) -> tuple[int, int]:
    """Sends a register and kills when some of it was answered; how many of its lines were not by
    then, and how many groups were on their way at most.
    """
    wanted = register.history.acknowledged + dice.randint(1, LINES // 3)
    sending = asyncio.create_task(register.send())
    conn = await asyncpg.connect(url)
    seen = [0]
    try:
        while register.history.acknowledged < wanted and not sending.done():
            seen.append(await conn.fetchval(_WRITING))
            await asyncio.sleep(0.002)
    finally:
        await conn.close()
    await until(
        lambda: register.history.acknowledged >= wanted or sending.done(), 60, "answered lines"
    )
    left = register.unknown()
    await kill()
    await sending
    return left, max(seen)


@pytest.mark.parametrize("killed", ["gateway", "postgresql"])
async def test_a_stream_that_a_kill_cut_short_is_whole_once_it_is_sent_again(
    database: Database, secret: str, tmp_path: Path, history: History, killed: str
) -> None:
    gateway = await serving(tmp_path, database)
    dice = random.Random(killed)
    unanswered = at_once = replayed = 0

    async def kill() -> None:
        if killed == "gateway":
            gateway.kill(dice)
            await gateway.start()
        else:
            database.kill(dice)
            await database.start_again()

    try:
        for round_ in range(ROUNDS):
            register = Register(history, secret, gateway.port, round_, LINES)
            left, seen = await broken_off(register, dice, database.url, kill)
            unanswered, at_once = unanswered + left, max(at_once, seen)
            assert complaints(history.sent, await stored(database.url), settled=False) == []
            for _ in range(5):
                if await register.send() and register.unknown() == 0:
                    break
            assert register.unknown() == 0, "Expected every line to be answered in the end"
            assert register.changed == []
            assert set(register.answers) <= {201, 503}
            replayed += register.replayed
            assert complaints(history.sent, await stored(database.url), settled=True) == []
        assert unanswered > 0, "Expected kills in the middle of streams"
        assert replayed > 0, "Expected payments that were made before the kill"
        assert at_once > 1, "Expected groups that are committed side by side"
        assert (await report.run(database.url))["problems"] == []
    finally:
        gateway.stop()


async def test_control_a_server_that_answers_too_early_loses_lines_of_a_stream(
    tmp_path: Path, history: History
) -> None:
    database = Database(tmp_path / "pg", ANSWERED_TOO_EARLY)
    gateway = None
    found: list[str] = []
    try:
        secret = await region_for_payers(database.url)
        # The region itself stays; only payments after this are at stake.
        await database.checkpoint()
        gateway = await serving(tmp_path, database, **{ALLOW_NOT_DURABLE: "1"})
        dice = random.Random(51)

        async def kill() -> None:
            database.kill(dice)
            await database.start_again()

        for round_ in range(CONTROL_ROUNDS):
            register = Register(history, secret, gateway.port, round_, LINES)
            await broken_off(register, dice, database.url, kill)
            found = complaints(history.sent, await stored(database.url), settled=False)
            if found:
                break
    finally:
        if gateway is not None:
            gateway.stop()
        database.stop()
    assert any("acknowledged and is lost" in line for line in found)
