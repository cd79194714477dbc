"""The outbox: whoever reads on from where they were misses nothing, whatever commits when."""

import asyncio

import asyncpg

from gateway.domain.ids import EVENT, shown
from gateway.flows.deliver_webhooks import publish
from tests.flows.region import Region
from tests.webhooks.receiving import Hands, Sending, sending, tell


async def sequences(one: Sending, after: int) -> tuple[list[int], list[str], int]:
    found = await one.webhooks.events("heat", after, 1000)
    events = found["events"]
    assert isinstance(events, list)
    last = found["last_sequence"]
    assert isinstance(last, int)
    return [event["sequence"] for event in events], [event["id"] for event in events], last


async def test_an_older_event_that_commits_later_is_not_missed(
    region: Region, clock: Hands, one: Sending
) -> None:
    late, early = [await asyncpg.connect(region.url) for _ in range(2)]
    try:
        first, second = late.transaction(), early.transaction()
        await first.start()
        (older,) = await tell(late, clock)
        await second.start()
        (newer,) = await tell(early, clock)
        await second.commit()
        # The control reads on by what the rows are numbered by, as a naive outbox does.
        by_number = "SELECT id, number FROM events WHERE number > $1 ORDER BY number"
        seen = await region.conn.fetch(by_number, 0)
        await publish(one.worker.context)
        assert await sequences(one, 0) == ([1], [shown(EVENT, newer)], 1)
        await first.commit()
        await publish(one.worker.context)
        assert await sequences(one, 1) == ([2], [shown(EVENT, older)], 2)
        missed = await region.conn.fetch(by_number, seen[-1]["number"])
        assert ([row["id"] for row in seen], list(missed)) == ([newer], [])
    finally:
        await late.close()
        await early.close()


async def test_readers_beside_writers_and_publishers_see_every_event_once_in_order(
    region: Region, clock: Hands
) -> None:
    writers, each = 8, 25
    done = asyncio.Event()
    read: list[str] = []

    async def write() -> list[str]:
        conn = await asyncpg.connect(region.url)
        written: list[str] = []
        try:
            for _ in range(each):
                async with conn.transaction():
                    written += [shown(EVENT, id_) for id_ in await tell(conn, clock, 2)]
                    await asyncio.sleep(0)
        finally:
            await conn.close()
        return written

    async def publishing(one: Sending) -> None:
        while not done.is_set():
            await publish(one.worker.context)

    async def reading(one: Sending) -> None:
        after = 0
        while len(read) < writers * each * 2:
            numbers, ids, last = await sequences(one, after)
            assert numbers == list(range(after + 1, after + 1 + len(numbers)))
            read.extend(ids)
            after = last

    async with (
        sending(region, clock) as a,
        sending(region, clock) as b,
        asyncio.timeout(60),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(publishing(a))
        group.create_task(publishing(b))
        writing = [group.create_task(write()) for _ in range(writers)]
        await group.create_task(reading(a))
        done.set()
    written = [id_ for task in writing for id_ in task.result()]
    assert sorted(read) == sorted(written)
    place = {id_: at for at, id_ in enumerate(read)}
    for task in writing:
        # What one writer told came in the order it was told in.
        assert [place[id_] for id_ in task.result()] == sorted(place[i] for i in task.result())


async def test_an_event_of_what_was_rolled_back_is_never_told(
    region: Region, clock: Hands, one: Sending
) -> None:
    transaction = region.conn.transaction()
    await transaction.start()
    await tell(region.conn, clock)
    await transaction.rollback()
    (kept,) = await tell(region.conn, clock)
    assert await publish(one.worker.context) == 1
    assert await sequences(one, 0) == ([1], [shown(EVENT, kept)], 1)
