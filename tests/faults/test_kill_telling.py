"""kill -9 of the gateway around each step of telling a recipient: at least once, under one id, in a
sequence without a gap.

The recipient's server is in this process and holds its answers back; what it heard is judged by
what the gateway itself tells whoever polls.
"""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from gateway.audit import report
from gateway.storage import keys
from tests.faults.processes import Database, Gateway
from tests.webhooks.receiving import Receiver, receiving

WORKERS = 2
# What a dead worker held is due again when its lease ends: this and five seconds.
TIMEOUT_S = 1
TOLD_S = 120.0
# When the gateway is killed: before anything is told, while the recipient has not answered yet,
# and as soon as it has.
STEPS = ("committed", "arrived", "answered", "arrived")
WAITING = """
    SELECT (SELECT count(*) FROM events WHERE sequence IS NULL)
         + (SELECT count(*) FROM webhook_deliveries WHERE state <> 'delivered')
"""


def wrong(heard: Sequence[dict[str, Any]], published: Sequence[dict[str, Any]]) -> list[str]:
    """What is wrong with what a recipient heard, given what there was to tell."""
    found = []
    sequences = [one["sequence"] for one in published]
    if sequences != list(range(1, len(published) + 1)):
        found.append(f"a sequence with a gap: {sequences}")
    known = {one["id"]: one for one in published}
    if len(known) != len(published):
        found.append("an id that two events have")
    for one in heard:
        if known.get(one["id"]) != one:
            found.append(f"{one['id']} was told otherwise than it is")
    missing = known.keys() - {one["id"] for one in heard}
    return found + [f"{id_} was never told" for id_ in sorted(missing)]


def test_the_judge_finds_what_is_lost_changed_or_skipped() -> None:
    events: list[dict[str, Any]] = [
        {"id": f"evt_{n}", "sequence": n, "data": n * 10} for n in (1, 2, 3)
    ]
    assert wrong([*events, events[0]], events) == []
    assert wrong(events[:2], events) == ["evt_3 was never told"]
    other = {**events[1], "id": "evt_9"}
    assert wrong([*events, other], events) == ["evt_9 was told otherwise than it is"]
    assert wrong([*events, {**events[0], "data": 11}], events)
    assert wrong(events[:1] + events[2:], events[:1] + events[2:])
    assert wrong(events, [*events, events[2]])


class Centre:
    """Whoever takes payments, closes and approves over HTTP, a gateway that is killed or not."""

    def __init__(self, session: aiohttp.ClientSession, gateway: Gateway, secrets: Any) -> None:
        self._session = session
        self._gateway = gateway
        self._secrets = secrets

    async def ask(self, method: str, path: str, role: str, key: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self._secrets[role]}", "Idempotency-Key": key}
        url = f"http://127.0.0.1:{self._gateway.port}{path}"
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def day(self, number: int) -> None:
        """A payment, and its batch closed and approved: two events of each recipient."""
        body = {"subscriber_account": "A1", "amount": 100_000, "method": {"type": "cash"}}
        await self.ask("POST", "/v1/payments", "acquirer", f"pay-{number}", body)
        path = "/v1/settlement-batches"
        batch = await self.ask("POST", path, "operator", f"close-{number}", {})
        await self.ask("POST", f"{path}/{batch['id']}/approve", "approver", f"yes-{number}", {})

    async def events(self) -> list[dict[str, Any]]:
        path = "/v1/events?recipient=heat&after=0&limit=1000"
        found: list[dict[str, Any]] = (await self.ask("GET", path, "operator", "-"))["events"]
        return found


async def roles(database: Database) -> dict[str, str]:
    conn = await asyncpg.connect(database.url)
    try:
        return {
            role: await keys.add(conn, f"a {role}".replace(" ", "-"), keys.parse_role(role))
            for role in ("acquirer", "operator", "approver")
        }
    finally:
        await conn.close()


async def all_told(database: Database) -> None:
    """Returns once nothing waits to be published or delivered."""
    conn = await asyncpg.connect(database.url)
    try:
        for _ in range(int(TOLD_S * 10)):
            if await conn.fetchval(WAITING) == 0:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"Expected everything told within {TOLD_S} s")
    finally:
        await conn.close()


async def kill_at(step: str, number: int, centre: Centre, gateway: Gateway, to: Receiver) -> None:
    """One day told of, and the gateway killed while it tells."""
    dice = random.Random(number)
    before = len(to.heard)
    if step == "arrived":
        to.open.clear()
    await centre.day(number)
    if step != "committed":
        await to.until_heard(before + 1)
    if step == "answered":
        # The answer is on its way, and may or may not be kept already.
        await asyncio.sleep(dice.choice([0, 0.001, 0.003]))
    gateway.kill(dice)
    to.open.set()
    await gateway.start()


async def test_whatever_is_killed_a_recipient_is_told_of_everything(
    database: Database, secret: str, tmp_path: Path
) -> None:
    gateway = Gateway(
        tmp_path, "--database", database.url, "--workers", str(WORKERS),
        KOPECK_WEBHOOK_LOOPBACK="allow", KOPECK_WEBHOOK_TIMEOUT_S=str(TIMEOUT_S),
    )  # fmt: skip
    try:
        await gateway.start()
        async with receiving() as to, aiohttp.ClientSession() as session:
            centre = Centre(session, gateway, await roles(database))
            path = "/v1/webhooks/books?recipient=heat"
            await centre.ask("PUT", path, "operator", "-", {"url": to.url})
            for number, step in enumerate(STEPS):
                await kill_at(step, number, centre, gateway, to)
            await all_told(database)
            published = await centre.events()
            heard = [one.event for one in to.heard]
            assert len(published) == 2 * len(STEPS)
            assert wrong(heard, published) == []
            # What was not answered, or whose answer was not kept, came once more under its id.
            assert len(heard) > len(published)
            assert all(one.id == one.event["id"] for one in to.heard)
        assert (await report.run(database.url))["problems"] == []
    finally:
        gateway.stop()
