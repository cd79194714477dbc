"""What stands beside batches is sealed while the gateway runs, and looked for where it came."""

import asyncio

import pytest

from gateway.flows import seal_batches
from gateway.flows.seal_batches import History
from gateway.seals import store_history
from tests.flows.region import Region

LOOKS = 600
LOOK_EVERY_S = 0.1


# The server's statistics tell of it at once, not when they come to it.
SOMEBODY = """
    INSERT INTO callers (name, role) VALUES ('somebody new', 'auditor');
    SELECT pg_stat_force_next_flush();
"""


async def sealed_callers(region: Region) -> int:
    return await region.number("SELECT count(*) FROM history_rows WHERE of_table = 'callers'")


async def test_what_is_written_is_sealed_once_and_by_itself(region: Region) -> None:
    history = History(region.worker.context)
    assert await history.seal()
    callers = await region.number("SELECT count(*) FROM callers")
    assert await sealed_callers(region) == callers
    await region.conn.execute(SOMEBODY)

    # The server's statistics tell of rows a moment later, and a look is followed by a rest.
    for _ in range(LOOKS):
        if await history.seal():
            break
        await asyncio.sleep(LOOK_EVERY_S)

    assert await sealed_callers(region) == callers + 1
    found = await region.conn.fetch("SELECT number, leaves FROM history_seals ORDER BY number")
    assert [tuple(row) for row in found[1:]] == [(2, 1)]


async def test_after_a_look_it_rests(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal_batches, "_REST", 1_000_000)
    history = History(region.worker.context)
    assert await history.seal()
    before = await sealed_callers(region)
    told = (await store_history.written(region.conn))["callers"]
    await region.conn.execute(SOMEBODY)
    for _ in range(LOOKS):
        if (await store_history.written(region.conn))["callers"] > told:
            break
        await asyncio.sleep(LOOK_EVERY_S)

    assert not await history.seal()

    assert await sealed_callers(region) == before
