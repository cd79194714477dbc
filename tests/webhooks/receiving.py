"""A recipient's server that does as it is told, and the workers that send to it.

The server is real, and what it hears is judged by the reference library of Standard Webhooks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web
from standardwebhooks import Webhook

from gateway.domain.ids import new_id
from gateway.domain.party import Caller
from gateway.flows.deliver_webhooks import Deliverer, publish
from gateway.flows.webhooks import Wanted, Webhooks
from gateway.telemetry import Telemetry
from gateway.webhooks import store
from gateway.webhooks.addresses import Rules
from gateway.webhooks.rows import NewEvent
from gateway.webhooks.secrets import Seal
from gateway.webhooks.sending import Sender
from tests.flows.region import Region, Worker

RULES = Rules(frozenset({443}), loopback=True)
TIMEOUT_S = 5.0


@dataclass
class Heard:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        return orjson.loads(self.body)

    def verified(self, secret: str) -> Any:
        """What the reference library makes of it; raises where the signature does not hold."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """Answers with the next of `statuses`, then 200; waits for `open` before each answer."""

    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    heard: list[Heard] = field(default_factory=list)
    at_once: int = 0
    at_once_max: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until_heard(self, count: int) -> list[Any]:
        """What was told, once there is so much of it."""
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                self.came.clear()
                await self.came.wait()
        return [one.event for one in self.heard]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.heard.append(Heard(headers, await request.read()))
            self.came.set()
            await self.open.wait()
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 0:
                # The answer is lost: what was told was taken all the same.
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=status or 200, headers=self.headers, body=self.content)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def receiving(**options: Any) -> AsyncIterator[Receiver]:
    """A recipient's server on a free port."""
    receiver = Receiver(**options)
    receiver.open.set()
    application = web.Application()
    application.router.add_post("/hook", receiver.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        receiver.open.set()
        await runner.cleanup()


class Hands:
    """A clock that is set by hand, from the moment the test began."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at

    def go(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Sending:
    """What one worker has for telling recipients."""

    worker: Worker
    webhooks: Webhooks
    deliverer: Deliverer
    telemetry: Telemetry

    async def round(self) -> int:
        """Publish, take what is due and send it; how many were sent."""
        await publish(self.worker.context)
        async with asyncio.TaskGroup() as sending:
            return await self.deliverer.look(sending)

    async def put(
        self, caller: Caller, url: str, *types: str, name: str = "books", state: str = "active"
    ) -> dict[str, Any]:
        found, _ = await self.webhooks.put(caller, "heat", name, Wanted(url, types, state))
        return found

    async def deliveries(self, name: str = "books") -> list[dict[str, Any]]:
        return await self.webhooks.deliveries("heat", name, None, 100)


@asynccontextmanager
async def sending(
    region: Region, clock: Hands, rules: Rules = RULES, seal: Seal | None = None
) -> AsyncIterator[Sending]:
    """One more worker that tells recipients."""
    telemetry = Telemetry("0.0.0", "kernel")
    seal = seal or Seal()
    async with (
        region.working(clock=clock) as worker,
        Sender(rules, TIMEOUT_S) as sender,
    ):
        deliverer = Deliverer(worker.context, sender, seal, telemetry)
        yield Sending(worker, Webhooks(worker.context, rules, seal), deliverer, telemetry)


async def tell(conn: Any, clock: Hands, count: int = 1, recipient: str = "heat") -> list[UUID]:
    """Events of a recipient, written by a connection in whatever transaction it is in."""
    ids = [new_id() for _ in range(count)]
    told = [NewEvent(recipient, "payout.sent", {"amount": at}) for at in range(count)]
    await store.add_events(conn, clock.now(), ids, told)
    return ids
