"""POST /v1/payments/bulk: a payment a line in, an outcome a line out, in the same order.

Lines are queued like single payments and wait for a place instead of being refused, so a stream
goes as fast as payments become durable. A window bounds what is in flight. A caller that sends
everything before it reads anything would block both ends; what it does not take yet is put aside
on disk.
"""

import asyncio
from typing import Final

from aiohttp import HttpVersion10, web
from aiohttp.abc import AbstractStreamWriter

from gateway.api import decode, encode, problems, reading, replies
from gateway.api.call import Call, House
from gateway.api.failures import told
from gateway.api.payments import failed_as, outcome_of
from gateway.api.spool import PIECE_BYTES, Spool
from gateway.domain.payment import METHODS, Receipt
from gateway.domain.refusals import Refusal, Unavailable
from gateway.telemetry import UNKNOWN_METHOD

WINDOW: Final = 4_096
SENT_BYTES_MAX: Final = 262_144

Outcome = tuple[str, asyncio.Future[Receipt] | Exception]
Window = asyncio.Queue[Outcome | None]


async def take(house: House, call: Call) -> web.StreamResponse:
    """Takes a stream of payments; the answer begins with the first outcome."""
    if not call.request.body_exists:
        raise Refusal("malformed", "Expected a body, a payment a line")
    headers = {"Content-Type": replies.NDJSON, **replies.SAFE_HEADERS}
    response = web.StreamResponse(status=replies.OK, headers=headers)
    if call.request.version == HttpVersion10:
        response.force_close()
    window: Window = asyncio.Queue(WINDOW)
    with Spool() as spool:
        outcomes = _Outcomes(house, call, response, spool)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(outcomes.answer(window))
                await _read(house, call, window)
            await outcomes.finish()
        except ExceptionGroup as failed:
            # Nearly always the caller that left, which nobody needs to hear about.
            raise failed.exceptions[0] from None
        finally:
            _abandon(window)
    return response


def _abandon(window: Window) -> None:
    """Lets outcomes nobody will read come to nothing, quietly; their payments go on."""
    while not window.empty():
        outcome = window.get_nowait()
        if outcome is not None and isinstance(outcome[1], asyncio.Future):
            outcome[1].add_done_callback(lambda late: late.cancelled() or late.exception())


async def _read(house: House, call: Call, window: Window) -> None:
    """Queues every line's payment, in the order of the lines."""
    settings = house.context.settings
    pieces = reading.chunks(call.request, settings.body_timeout_s)
    caller = call.caller.number
    try:
        async for lines in reading.lines(pieces, settings.body_bytes_max):
            for line in lines:
                await window.put(await _submitted(house, line, caller))
    except Refusal as broken:
        # The body broke off or stalled: what came whole is kept, and the last line says why.
        await window.put((UNKNOWN_METHOD, broken))
    await window.put(None)


async def _submitted(house: House, line: bytes | None, caller: int) -> Outcome:
    method = UNKNOWN_METHOD
    try:
        if house.stopping.is_set():
            raise Unavailable("unavailable", "This process is stopping; send this line again")
        if line is None:
            raise Refusal("body_too_large", "Expected a shorter line")
        request = decode.bulk_payment(line, caller)
        method = METHODS[request.method]
        return method, await house.intake.submit(request)
    except Exception as failure:
        return method, failure


class _Outcomes:
    """Writes outcomes in their order, never waiting for a caller that does not read yet."""

    def __init__(
        self, house: House, call: Call, response: web.StreamResponse, spool: Spool
    ) -> None:
        self._telemetry = house.telemetry
        self._request = call.request
        self._response = response
        self._spool = spool
        self._index = 0

    async def answer(self, window: Window) -> None:
        """Writes what comes out of the window until its end."""
        gathered = bytearray()
        while (outcome := await window.get()) is not None:
            gathered += await self._line(*outcome)
            if window.empty() or len(gathered) >= PIECE_BYTES:
                await self._send(bytes(gathered))
                gathered.clear()
        if gathered:
            await self._send(bytes(gathered))

    async def finish(self) -> None:
        """Sends what was put aside, at the caller's pace."""
        writer = await self._writer()
        while len(self._spool):
            await writer.drain()
            await writer.write(self._spool.take())
        await self._response.write_eof()

    async def _line(self, method: str, outcome: asyncio.Future[Receipt] | Exception) -> bytes:
        index = self._index
        self._index += 1
        try:
            if isinstance(outcome, Exception):
                raise outcome
            receipt = await outcome
        except Exception as failure:
            self._telemetry.payment(method, failed_as(failure))
            return encode.bulk_problem(index, problems.as_object(*told(failure)))
        self._telemetry.payment(method, outcome_of(receipt))
        return encode.bulk_outcome(index, replies.CREATED, receipt.payment, receipt.replayed)

    async def _writer(self) -> AbstractStreamWriter:
        writer = await self._response.prepare(self._request)
        if writer is None or self._request.transport is None:
            raise ConnectionResetError("The caller has left")
        return writer

    async def _send(self, piece: bytes) -> None:
        writer = await self._writer()
        self._spool.append(piece)
        while len(self._spool) and self._unsent() < SENT_BYTES_MAX:
            await writer.write(self._spool.take(), drain=False)  # type: ignore[call-arg]

    def _unsent(self) -> int:
        transport = self._request.transport
        return 0 if transport is None else transport.get_write_buffer_size()
