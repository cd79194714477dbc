"""What tests of connectors share: orders, a bank's server on the loopback, and how it fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from aiohttp import web

from gateway.acquirers.exchange import Exchange
from gateway.acquirers.kinds import KINDS, Wiring
from gateway.acquirers.words import Acquirer, Instrument, Notice, Order, Refund, SbpQr, Utilities
from gateway.domain.party import BankAccount, Recipient
from gateway.domain.refusals import Refusal

TIMEOUT_S = 5.0
BEGUN = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
CENTRE = Recipient(
    id="centre",
    name="АО Единый расчётный центр",
    kind="centre",
    inn="7707083893",
    kpp="770701001",
    bank_account=BankAccount("044525225", "40702810138250123017", "30101810400000000225"),
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Line:
    """How a bank's line fails, by the end of a path: what is done is done before it fails.

    `held` keeps a reply back until `release` is set, `lost` closes the connection instead of it,
    `faulty` replies 500, `garbled` not in JSON; each as often as counted. `asked` counts requests.
    """

    def __init__(self) -> None:
        self.held: Counter[str] = Counter()
        self.release = asyncio.Event()
        self.lost: Counter[str] = Counter()
        self.faulty: Counter[str] = Counter()
        self.garbled: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    @web.middleware
    async def fail(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        self.asked[path.rpartition("/")[2]] += 1
        reply = await handler(request)
        if self._due(self.held, path):
            await self.release.wait()
        if self._due(self.lost, path) and request.transport is not None:
            request.transport.abort()
        if self._due(self.faulty, path):
            return web.Response(status=500, text="<html>")
        if self._due(self.garbled, path):
            return web.Response(text='{"errorCode": "0", ')
        return reply

    def _due(self, counted: Counter[str], path: str) -> bool:
        for end in counted:
            if path.endswith(end) and counted[end] > 0:
                counted[end] -= 1
                return True
        return False


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """The bank's server on a free port of the loopback."""
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(
    kind: str,
    url: str,
    options: Mapping[str, str],
    secrets: Mapping[str, str],
    timeout_s: float = TIMEOUT_S,
) -> AsyncIterator[Acquirer]:
    """The connector of a kind, as the gateway wires it."""
    async with Exchange(url, timeout_s) as exchange:
        yield KINDS[kind].make(Wiring(exchange, options, secrets))


def order(number: int, instrument: Instrument | None = None, total: int = 349_056) -> Order:
    """An order of the bill of November; each number is another order."""
    return Order(
        id=UUID(int=(1 << 120) + number),
        total=total,
        description="Оплата ЖКУ, л/с 220012345, за 11.2026",
        instrument=instrument or SbpQr(),
        created_at=BEGUN,
        expires_at=BEGUN + timedelta(hours=1),
        utilities=Utilities("220012345", "Оплата ЖКУ, л/с 220012345", (2026, 11), CENTRE),
        return_url="https://centre.example/back",
    )


def refund(number: int, of: Order, operation: str, amount: int, left: int) -> Refund:
    """A refund of an order; each number is another refund."""
    return Refund(
        id=UUID(int=(2 << 120) + number),
        order=of.id,
        operation=operation,
        amount=amount,
        left=left,
    )


def heard(
    acquirer: Acquirer, headers: Mapping[str, str], body: bytes, peer: str = "127.0.0.1"
) -> Notice | str:
    """What a callback tells, or the code that it was refused with."""
    try:
        return acquirer.notice(headers, body, peer)
    except Refusal as refused:
        return refused.code


def flipped(content: bytes, bit: int) -> bytes:
    """The content with one bit of it the other way."""
    bent = bytearray(content)
    bent[bit // 8] ^= 1 << bit % 8
    return bytes(bent)
