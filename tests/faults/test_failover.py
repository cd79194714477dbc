"""The primary is killed with -9 under load and its standby promoted: nothing is lost or doubled.

A synchronous standby has every payment that was answered, and the gateway goes on with it by
itself. Controls: a standby that commits do not wait for lacks payments that were answered, and a
gateway that knows one host never writes again.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.audit import report
from gateway.calendar import days_of
from gateway.config import Settings
from gateway.doctor.database import examine
from gateway.domain.clock import SystemClock
from gateway.storage.postgres import connect
from tests.faults.cluster import SYNCHRONOUS, Pair
from tests.faults.conftest import region_for_payers
from tests.faults.history import History, complaints, stored
from tests.faults.payers import PAYERS, Payers, until
from tests.faults.processes import Gateway, kopeck

WRITES_AGAIN_S = 90.0
# A deadline that a test can wait for; the gateway waits two seconds longer than the server.
IMPATIENT = {"KOPECK_STATEMENT_TIMEOUT_MS": "500", "KOPECK_LOCK_TIMEOUT_MS": "400",
             "KOPECK_COMMIT_DEADLINE_MS": "1500"}  # fmt: skip


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    made = Pair(tmp_path, SYNCHRONOUS)
    try:
        await made.start()
        yield made
    finally:
        made.stop()


@asynccontextmanager
async def serving(folder: Path, url: str, **environ: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(folder, "--database", url, "--workers", "2", **environ)
    try:
        await gateway.start()
        yield gateway
    finally:
        gateway.stop()


async def test_the_gateway_follows_the_standby_that_is_promoted(
    pair: Pair, tmp_path: Path, history: History, record_testsuite_property: Callable[..., None]
) -> None:
    secret = await region_for_payers(pair.primary_url)
    assert await doctor_says(pair.primary_url) == ("well", "commits wait for a standby")
    dice = random.Random(50)
    async with serving(tmp_path, pair.both) as gateway:
        workers = gateway.workers()
        payers = Payers(history, secret, gateway.port, seed=21, insists=True)
        async with payers.paying():
            await payers.more(300)
            pair.kill_primary(dice)
            killed = time.monotonic()
            await pair.promote()
            await payers.more(1, WRITES_AGAIN_S)
            record_testsuite_property("failover_s", f"{time.monotonic() - killed:.2f}")
            await payers.more(300, WRITES_AGAIN_S)
        assert history.unknown() == [], "Expected every payer to be answered in the end"
        assert complaints(history.sent, await stored(pair.standby_url), settled=True) == []
        assert set(payers.answers) <= {201, 503}
        assert gateway.workers() == workers, "Expected workers to outlive their database"
        for sent in dice.sample(history.sent, 20):
            assert await payers.ask_again(sent)
    assert (await report.run(pair.both))["problems"] == []
    # Commands follow as well, those that run PostgreSQL's own programs too.
    query = ("psql", "--database", pair.both, "-Atc", "SELECT pg_is_in_recovery(), count(*) > 0"
             " FROM payments")  # fmt: skip
    assert (await asyncio.to_thread(kopeck, *query)).stdout == "f|t\n"
    copied = await asyncio.to_thread(
        kopeck, "backup", str(tmp_path / "backup"), "--database", pair.both
    )
    assert copied.returncode == 0, copied.stderr


async def test_control_a_gateway_that_knows_one_host_never_writes_again(
    pair: Pair, tmp_path: Path, history: History
) -> None:
    secret = await region_for_payers(pair.primary_url)
    async with serving(tmp_path, pair.primary_url, **IMPATIENT) as gateway:
        payers = Payers(history, secret, gateway.port, seed=22)
        async with payers.paying():
            await payers.more(100)
            pair.kill_primary(random.Random(51))
            await pair.promote()
            # By then whoever sent before the promotion is answered.
            await refused(payers)
            acknowledged = history.acknowledged
            await refused(payers)
            assert history.acknowledged == acknowledged


async def refused(payers: Payers) -> None:
    """Waits until every payer was refused, and some were twice."""
    wanted = payers.answers[503] + 2 * PAYERS
    await until(lambda: payers.answers[503] >= wanted, WRITES_AGAIN_S, "refusals")


async def test_control_a_standby_that_commits_do_not_wait_for_lacks_payments(
    tmp_path: Path, history: History
) -> None:
    pair = Pair(tmp_path, {})
    try:
        await pair.start()
        secret = await region_for_payers(pair.primary_url)
        await pair.caught_up()
        async with serving(tmp_path, pair.both) as gateway:
            payers = Payers(history, secret, gateway.port, seed=23)
            found = await doctor_says(pair.primary_url)
            assert found == ("look", "commits wait for no standby: it may lack what was answered")
            pair.stop_standby()
            async with payers.paying():
                await payers.more(50)
            pair.kill_primary(random.Random(52))
            await pair.start_standby(streams=False)
            await pair.promote()
            missed = complaints(history.sent, await stored(pair.standby_url), settled=False)
    finally:
        pair.stop()
    assert sum("acknowledged and is lost" in line for line in missed) >= 50


async def test_no_payment_is_acknowledged_before_the_standby_has_it(
    pair: Pair, tmp_path: Path, history: History
) -> None:
    """Somebody cancels a commit that waits for its standby, and a deadline does: the server then
    answers the one as made, and shows both to everybody. Callers may not be told so.
    """
    secret = await region_for_payers(pair.primary_url)
    async with serving(tmp_path, pair.both, **IMPATIENT) as gateway:
        payers = Payers(history, secret, gateway.port, seed=24)
        async with payers.paying(4):
            await payers.more(20)
        await payers.find_out()
        payers.answers.clear()
        pair.stop_standby()
        cancelled, late = history.send("A2", 45_600), history.send("A1", 12_300)
        trying = asyncio.create_task(payers.try_once(cancelled))
        await pair.cancel_a_commit()
        await trying
        for _ in range(3):
            await payers.try_once(late)
        found = await doctor_says(pair.primary_url)
        assert found == ("ill", "commits wait for a standby, and none is there")
        shown = {row.key for row in await stored(pair.primary_url)}
        assert {cancelled.key, late.key} <= shown, "Expected commits that only the primary has"
        assert (history.unknown(), payers.answers) == ([cancelled, late], {503: 4})
        await pair.start_standby()
        await payers.find_out(WRITES_AGAIN_S)
        pair.kill_primary(random.Random(53))
        await pair.promote()
        assert complaints(history.sent, await stored(pair.standby_url), settled=True) == []


async def doctor_says(url: str) -> tuple[str, str]:
    """State and words of what `kopeck doctor` finds of a failover."""
    conn = await connect(url, "doctor")
    try:
        days = days_of(Settings())
        async for one in examine(conn, SystemClock(), days):
            if one.what == "failover":
                return one.state, one.found
    finally:
        await conn.close()
    raise AssertionError("Expected the doctor to look at failovers")
