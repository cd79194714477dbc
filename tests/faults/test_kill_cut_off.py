"""kill -9 of the gateway around a cut-off under load: one batch is cut for it."""

import asyncio
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg

from gateway.audit import report
from tests.faults.history import History, complaints, stored
from tests.faults.payers import Payers
from tests.faults.processes import Database, Gateway

ZONE = "Asia/Barnaul"
WORKERS = 2
# Enough to start and pay; the cut-off is a whole minute, so it is at most a minute later,
# and payers begin so long before it.
AHEAD_S = 30
PAYING_FROM_S = 12
KILLS_FROM_S = 6
KILLS_UNTIL_S = 6
# A slow machine is killed longer.
KILLS_MIN = 3
CLOSED = """
    SELECT due_at, count(*) FROM batch_dates JOIN settlement_batches ON number = settlement_batch
    WHERE state = 'closed' GROUP BY due_at ORDER BY due_at
"""


def every_day_is_a_working_day(path: Path, day: date) -> None:
    days = (day + timedelta(days=by) for by in range(-70, 71))
    years: dict[int, list[str]] = {}
    for one in days:
        years.setdefault(one.year, []).append(f'"{one:%m-%d}"')
    path.write_text(
        "".join(f'[{y}]\nsource = "a test"\nworking = [{", ".join(d)}]\n' for y, d in years.items())
    )


async def closed_for(database: Database) -> dict[datetime, int]:
    """How many counted batches there are for each cut-off."""
    conn = await asyncpg.connect(database.url)
    try:
        return {row["due_at"]: row["count"] for row in await conn.fetch(CLOSED)}
    finally:
        await conn.close()


async def test_one_batch_is_cut_at_a_cut_off_however_often_the_gateway_is_killed(
    database: Database, secret: str, history: History, tmp_path: Path
) -> None:
    dice = random.Random(22)
    begun = datetime.now(UTC)
    moment = (begun + timedelta(seconds=AHEAD_S + 60)).replace(second=0, microsecond=0)
    local = moment.astimezone(ZoneInfo(ZONE))
    own = tmp_path / "working.toml"
    every_day_is_a_working_day(own, local.date())
    settings = {
        "KOPECK_TIMEZONE": ZONE,
        "KOPECK_CUT_OFF": f"{local:%H:%M}".replace("00:00", "24:00"),
        "KOPECK_CLOSE_AT_CUT_OFF": "yes",
        "KOPECK_WORKING_CALENDAR": str(own),
    }
    gateway = Gateway(tmp_path, "--database", database.url, "--workers", str(WORKERS), **settings)
    try:
        await gateway.start()
        payers = Payers(history, secret, gateway.port, seed=3)
        await asyncio.sleep((moment - datetime.now(UTC)).total_seconds() - PAYING_FROM_S)
        async with payers.paying():
            await payers.more(50)
            while datetime.now(UTC) < moment - timedelta(seconds=KILLS_FROM_S):
                await payers.more(20)
            # The cut-off of the day before was made up for at the start.
            assert await closed_for(database) == {moment - timedelta(days=1): 1}
            kills = 0
            until = moment + timedelta(seconds=KILLS_UNTIL_S)
            while datetime.now(UTC) < until or kills < KILLS_MIN:
                await payers.more(dice.randint(1, 60))
                gateway.kill(dice)
                await gateway.start()
                kills += 1
            await payers.more(100)
        await payers.find_out()
        for _ in range(200):
            if moment in await closed_for(database):
                break
            await asyncio.sleep(0.1)
        gateway.kill(dice)
        await gateway.start()
        await payers.find_out()
        assert await closed_for(database) == {moment - timedelta(days=1): 1, moment: 1}
        assert complaints(history.sent, await stored(database.url), settled=True) == []
        conn = await asyncpg.connect(database.url)
        try:
            stamps = "SELECT DISTINCT settlement_batch FROM payments ORDER BY 1"
            assert [row[0] for row in await conn.fetch(stamps)] == [1, 2, 3]
        finally:
            await conn.close()
        assert (await report.run(database.url))["problems"] == []
    finally:
        gateway.stop()
