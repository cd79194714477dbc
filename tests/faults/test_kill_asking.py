"""kill -9 of the gateway around each step of asking an acquirer: one charge is one payment.

The bank is a sandbox in this process, with books of its own: they are what ours are judged by.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import pytest
from aiohttp import web

from gateway.audit import report
from gateway.sandbox import bank, server
from tests.acquirers.conftest import KEY, NAME, acquirers_file
from tests.faults.payers import LOST, until
from tests.faults.processes import Database, Gateway

WORKERS = 3
SETTLED_S = 60.0
ROUNDS = 6
AT_ONCE = 8
CARDS = (
    *(bank.APPROVE, bank.DECLINE, bank.TIMEOUT, bank.LOST_ANSWER, bank.LATE_CALLBACK),
    *(bank.DUPLICATE_CALLBACK, bank.EARLY_CALLBACK, bank.LATE_ACCEPT, bank.FAULT),
)

Hook = Callable[[], Awaitable[None]]


class Watched(server.Sandbox):
    """A sandbox that lets a test act when an order arrives, before or after it is in the books."""

    def __init__(self) -> None:
        super().__init__(KEY, None, 0.05)
        self.arriving: Hook | None = None
        self.taken: Hook | None = None
        self.asked: Counter[str] = Counter()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.asked[msgspec.json.decode(await request.read())["order"]] += 1
        if self.arriving is not None:
            await self.arriving()
            return web.Response(status=503)
        answer = await super()._take(request)
        if self.taken is not None:
            await self.taken()
        return answer


class Site:
    """A caller of the gateway: it sends, and may hear nothing."""

    def __init__(self, session: aiohttp.ClientSession, gateway: Gateway, secret: str) -> None:
        self._session = session
        self._gateway = gateway
        self._secret = secret
        self._sent = 0

    async def pay(self, card: str) -> dict[str, Any] | None:
        """The answer, None where there was none."""
        self._sent += 1
        body = {
            "subscriber_account": f"A{self._sent % 20}",
            "amount": 1_000 + self._sent,
            "method": {"type": "card", "reference": card},
            "reference": f"order-{self._sent}",
            "acquirer": NAME,
        }
        headers = {
            "Authorization": f"Bearer {self._secret}",
            "Idempotency-Key": f"order-{self._sent}",
        }
        url = f"http://127.0.0.1:{self._gateway.port}/v1/payments"
        try:
            async with self._session.post(url, json=body, headers=headers) as response:
                answer: dict[str, Any] = await response.json(content_type=None)
                return answer
        except LOST:
            return None


class Scene:
    """The bank, the gateway, a caller of it, and plain SQL."""

    def __init__(
        self, play: Watched, gateway: Gateway, site: Site, conn: asyncpg.Connection, url: str
    ) -> None:
        self.play = play
        self.gateway = gateway
        self.site = site
        self.conn = conn
        self.url = url

    async def kill(self) -> None:
        self.gateway.kill(random.Random(7))

    async def start(self) -> None:
        await self.gateway.start()

    async def states(self) -> Counter[str]:
        rows = await self.conn.fetch("SELECT state FROM authorisations")
        return Counter(row["state"] for row in rows)

    async def settled(self) -> Counter[str]:
        """The states once none is open."""
        deadline = asyncio.get_running_loop().time() + SETTLED_S
        while (states := await self.states()) and set(states) - {"accepted", "declined"}:
            assert asyncio.get_running_loop().time() < deadline, f"Expected an end, was {states}"
            # What waits long is asked about now; who asks, and how often, stays the gateway's.
            await self.conn.execute(
                "UPDATE authorisations SET next_poll_at = now()"
                " WHERE next_poll_at > now() + interval '7 s' AND state = 'unknown'"
            )
            await asyncio.sleep(0.1)
        return states

    async def complaints(self) -> list[str]:
        """What the bank's books and ours do not agree in, and what the audit finds."""
        rows = await self.conn.fetch("SELECT id, total FROM payments")
        ours = Counter((row["id"].hex, row["total"]) for row in rows)
        theirs = Counter((one.number, one.amount) for one in self.play.bank.charges)
        cards = {name: self.play.bank.outcome(name) for name, _ in theirs}
        found = [f"{name} {total}: {cards[name]}, no payment" for name, total in theirs - ours]
        found += [f"{name} {total}: a payment, not charged" for name, total in ours - theirs]
        # Not every bank tells a repeat from a second charge, as the sandbox does.
        found += [f"{name}: asked for {n} times" for name, n in self.play.asked.items() if n > 1]
        audited = (await report.run(self.url))["problems"]
        assert isinstance(audited, list)
        return found + [str(one) for one in audited]


def charged(books: bank.Bank, wanted: int) -> bool:
    return len(books.charges) >= wanted


@pytest.fixture
async def scene(database: Database, secret: str, tmp_path: Path) -> AsyncIterator[Scene]:
    play = Watched()
    async with server.running(play, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        path = acquirers_file(tmp_path, url, absent_after_s=2)
        options = ("--database", database.url, "--workers", str(WORKERS))
        gateway = Gateway(tmp_path, *options, KOPECK_ACQUIRERS=str(path))
        await gateway.start()
        play.callbacks = f"http://127.0.0.1:{gateway.port}/v1/acquirers/{NAME}/callbacks"
        conn = await asyncpg.connect(database.url)
        try:
            yield Scene(play, gateway, Site(session, gateway, secret), conn, database.url)
        finally:
            await conn.close()
            gateway.stop()


async def test_killed_before_the_acquirer_took_the_order_on(scene: Scene) -> None:
    """A try is durable, the bank never had it: declined, and nobody charged again for it."""
    scene.play.arriving = scene.kill
    assert await scene.site.pay(bank.APPROVE) is None
    scene.play.arriving = None
    await scene.start()
    assert await scene.settled() == {"declined": 1}
    assert scene.play.bank.charges == []
    assert await scene.complaints() == []


async def test_killed_between_the_charge_and_its_answer(scene: Scene) -> None:
    scene.play.taken = scene.kill
    assert await scene.site.pay(bank.APPROVE) is None
    scene.play.taken = None
    await scene.start()
    assert await scene.settled() == {"accepted": 1}
    assert len(scene.play.bank.charges) == 1
    assert await scene.complaints() == []


async def test_killed_between_the_answer_and_the_booking(scene: Scene) -> None:
    """The bill is held by somebody else meanwhile, so the kill meets what is taken, not booked."""
    async with scene.conn.transaction():
        await scene.conn.execute("LOCK TABLE open_bills IN EXCLUSIVE MODE")
        paying = asyncio.create_task(scene.site.pay(bank.APPROVE))
        watching = await asyncpg.connect(scene.url)
        try:
            deadline = asyncio.get_running_loop().time() + 10
            while await watching.fetchval("SELECT state FROM authorisations") != "taken":
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.02)
            assert await watching.fetchval("SELECT count(*) FROM payments") == 0
        finally:
            await watching.close()
        await scene.kill()
        assert await paying is None
    await scene.start()
    assert await scene.settled() == {"accepted": 1}
    assert await scene.complaints() == []


async def test_killed_anywhere_under_every_outcome(scene: Scene) -> None:
    """In turn one worker and all of them, while orders of every card are on their way."""
    dice = random.Random(31)
    for round_ in range(ROUNDS):
        cards = [dice.choice(CARDS) for _ in range(3 * AT_ONCE)]
        paying = [asyncio.create_task(scene.site.pay(card)) for card in cards]
        wanted = len(scene.play.bank.charges) + 3
        await until(partial(charged, scene.play.bank, wanted), 20, "three charges")
        if round_ % 2:
            await scene.gateway.kill_worker(dice, WORKERS)
        else:
            await scene.kill()
            await scene.start()
        await asyncio.gather(*paying)
    states = await scene.settled()
    # What a bank takes after it declined comes by its callback, which it repeats.
    await until(lambda: not scene.play.speaking, SETTLED_S, "the last callback")
    assert states["declined"] > 0
    assert await scene.complaints() == []


async def test_the_judge_finds_a_charge_without_a_payment(scene: Scene) -> None:
    """The control: money that the bank took and nobody booked, and books that nobody was charged
    for, are what every test here would have to find.
    """
    assert (await scene.site.pay(bank.APPROVE)) is not None
    assert await scene.complaints() == []
    charge = scene.play.bank.charges[0]
    charge.amount -= 1
    assert len(await scene.complaints()) == 2
    charge.amount += 1
    scene.play.asked[charge.number] += 1
    assert len(await scene.complaints()) == 1
    scene.play.asked[charge.number] -= 1
    await scene.conn.execute("UPDATE authorisations SET amount = amount - 1")
    assert len(await scene.complaints()) == 1
