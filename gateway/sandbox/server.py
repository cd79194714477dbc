"""The sandbox as a process: its HTTP, its callbacks, and the faults that it plays on the network.

Payers of a code or a deep link pay by POST to the page it names; ?outcome=decline refuses there.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp
import msgspec
from aiohttp import web

from gateway import logs
from gateway.acquirers.sandbox import (
    SIGNATURE,
    OrderSaid,
    OutcomeSaid,
    RefundSaid,
    is_signed,
    signature,
)
from gateway.acquirers.words import ACCEPTED, DECLINED
from gateway.domain.clock import Clock, SystemClock
from gateway.sandbox.bank import (
    DUPLICATE_CALLBACK,
    EARLY_CALLBACK,
    LATE_ACCEPT,
    LATE_CALLBACK,
    LOST_ANSWER,
    REFUND_LOST_ANSWER,
    TIMEOUT,
    Bank,
    Order,
)

log = logs.logger("kopeck.sandbox")

BODY_BYTES_MAX: Final = 65_536
# Longer than anybody waits for an answer.
HELD_S: Final = 90.0
CALLBACKS_MAX: Final = 24
CALLBACK_PAUSE_MAX_S: Final = 4.0
CALLBACK_TIMEOUT_S: Final = 10.0
COPIES: Final = 3
CALLBACKS_WAITING_MAX: Final = 10_000

_order: Final = msgspec.json.Decoder(OrderSaid)
_refund: Final = msgspec.json.Decoder(RefundSaid)


class Sandbox:
    """One sandbox bank; `callbacks` is where the gateway hears it, `delay_s` how late it speaks."""

    def __init__(
        self,
        key: str,
        callbacks: str | None,
        delay_s: float,
        clock: Clock | None = None,
    ) -> None:
        self.bank = Bank()
        self._key = key
        self.callbacks = callbacks
        self._delay_s = delay_s
        self._clock = clock or SystemClock()
        self._speaking: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """The HTTP of the sandbox."""
        made = web.Application(client_max_size=BODY_BYTES_MAX)
        made.router.add_post("/orders", self._take)
        made.router.add_get("/orders/{number}", self._show)
        made.router.add_post("/refunds", self._give_back)
        made.router.add_get("/refunds/{number}", self._show_refund)
        made.router.add_post("/pay/{number}", self._pay)
        made.router.add_post("/callbacks", self._listen)
        made.cleanup_ctx.append(self._open)
        return made

    @property
    def speaking(self) -> int:
        """How many callbacks are on their way."""
        return len(self._speaking)

    async def _open(self, _: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=CALLBACK_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            self._session = session
            yield
            for task in self._speaking:
                task.cancel()
            await asyncio.gather(*self._speaking, return_exceptions=True)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        said = _order.decode(await self._signed_body(request))
        order = self.bank.take(said)
        if order is None:
            return web.Response(status=503)
        match said.outcome:
            case "":
                pass
            case word if word == TIMEOUT:
                await asyncio.sleep(HELD_S)
            case word if word == LOST_ANSWER:
                if request.transport is not None:
                    request.transport.abort()
            case word if word in (LATE_CALLBACK, LATE_ACCEPT):
                self._later(order, copies=1)
            case word if word == EARLY_CALLBACK:
                await self._call_back(order.told)
            case word if word == DUPLICATE_CALLBACK:
                self._later(order, copies=COPIES)
        return self._said(self.bank.find(said.order, self._clock.now()))

    async def _show(self, request: web.Request) -> web.StreamResponse:
        self._check_path(request)
        return self._said(self.bank.find(request.match_info["number"], self._clock.now()))

    async def _give_back(self, request: web.Request) -> web.StreamResponse:
        said = _refund.decode(await self._signed_body(request))
        told = self.bank.give_back(said)
        if self.bank.outcome(said.order) == REFUND_LOST_ANSWER and request.transport is not None:
            request.transport.abort()
        return web.Response(status=503) if told is None else _reply(told)

    async def _show_refund(self, request: web.Request) -> web.StreamResponse:
        self._check_path(request)
        return _reply(self.bank.refund(request.match_info["number"]))

    async def _pay(self, request: web.Request) -> web.StreamResponse:
        """What a payer's phone does; nobody signs that."""
        order = self.bank.find(request.match_info["number"], self._clock.now())
        if order is None:
            return web.Response(status=404)
        if request.query.get("outcome") == "decline":
            self.bank.settle(order, DECLINED, "cancelled")
        else:
            self.bank.settle(order, ACCEPTED)
        self._speak(self._call_back(order.told))
        return web.json_response({"state": order.told.state})

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        """Where callbacks go from now on; signed, as it is the gateway that says so."""
        self.callbacks = (await self._signed_body(request)).decode()
        return web.Response()

    async def _signed_body(self, request: web.Request) -> bytes:
        body = await request.read()
        if not is_signed(self._key, body, request.headers.get(SIGNATURE, "")):
            raise web.HTTPForbidden
        return body

    def _check_path(self, request: web.Request) -> None:
        if not is_signed(self._key, request.path.encode(), request.headers.get(SIGNATURE, "")):
            raise web.HTTPForbidden

    def _said(self, order: Order | None) -> web.StreamResponse:
        return _reply(None if order is None else order.told)

    def _later(self, order: Order, copies: int) -> None:
        async def settle() -> None:
            await asyncio.sleep(self._delay_s)
            self.bank.settle(order, ACCEPTED)
            await asyncio.gather(*(self._call_back(order.told) for _ in range(copies)))

        self._speak(settle())

    def _speak(self, speech: Awaitable[None]) -> None:
        async def spoken() -> None:
            with suppress(aiohttp.ClientError, TimeoutError):
                await speech

        if len(self._speaking) < CALLBACKS_WAITING_MAX:
            task = asyncio.create_task(spoken(), name="a callback of the sandbox")
            self._speaking.add(task)
            task.add_done_callback(self._speaking.discard)

    async def _call_back(self, told: OutcomeSaid) -> None:
        """Tells the gateway, again and again until it has taken it, as banks do."""
        if self.callbacks is None or self._session is None:
            return
        content = msgspec.json.encode(told)
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: signature(self._key, content),
        }
        for number in range(CALLBACKS_MAX):
            try:
                async with self._session.post(
                    self.callbacks, data=content, headers=headers
                ) as response:
                    if response.status == web.HTTPOk.status_code:
                        return
            except (aiohttp.ClientError, TimeoutError) as failure:
                log.info("a callback found nobody", failure=type(failure).__name__)
            await asyncio.sleep(min(self._delay_s * 2**number, CALLBACK_PAUSE_MAX_S))


def _reply(told: OutcomeSaid | None) -> web.StreamResponse:
    if told is None:
        return web.Response(status=404)
    return web.Response(body=msgspec.json.encode(told), content_type="application/json")


@asynccontextmanager
async def running(sandbox: Sandbox, host: str, port: int) -> AsyncIterator[str]:
    """A sandbox that listens; its URL. Port 0 takes any free one."""
    runner = web.AppRunner(sandbox.application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        url = f"http://{host}:{runner.addresses[0][1]}"
        sandbox.bank.url = url
        yield url
    finally:
        await runner.cleanup()
