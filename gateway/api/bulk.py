"""POST /v1/payments/bulk: a payment a line in, an outcome a line out, in the same order.

Lines that came together are queued as one bunch, which waits for a place instead of being refused,
so a stream goes as fast as payments become durable. A window bounds what is in flight. A caller
that sends everything before it reads anything would block both ends; what it does not take yet is
put aside on disk. `Prefer: return=minimal` asks for outcomes without the payments themselves.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from aiohttp import HttpVersion10, web
from aiohttp.abc import AbstractStreamWriter

from gateway.api import encode, problems, reading, replies
from gateway.api.bulk_lines import BulkLines
from gateway.api.call import Call, House
from gateway.api.failures import told
from gateway.api.payments import failed_as, outcome_of
from gateway.api.preferences import APPLIED, MINIMAL, wants_minimal
from gateway.api.spool import PIECE_BYTES, Spool
from gateway.domain.payment import METHODS, PaymentRequest, Receipt
from gateway.domain.refusals import Refusal, Unavailable
from gateway.telemetry import UNKNOWN_METHOD

WINDOW: Final = 16
SENT_BYTES_MAX: Final = 262_144

Outcome = Receipt | Exception


class Bunch(NamedTuple):
    """Lines that came together: of each its request, or why it is none; and what becomes of them.

    The future is of the requests alone, in their order.
    """

    lines: Sequence[PaymentRequest | Exception]
    outcomes: asyncio.Future[Sequence[Outcome]]


Window = asyncio.Queue[Bunch | None]


async def take(house: House, call: Call) -> web.StreamResponse:
    """Takes a stream of payments; the answer begins with the first outcome."""
    if not call.request.body_exists:
        raise Refusal("malformed", "Expected a body, a payment a line")
    headers = {"Content-Type": replies.NDJSON, **replies.SAFE_HEADERS}
    brief = wants_minimal(call.request)
    if brief:
        headers[APPLIED] = MINIMAL
    response = web.StreamResponse(status=replies.OK, headers=headers)
    if call.request.version == HttpVersion10:
        response.force_close()
    window: Window = asyncio.Queue(WINDOW)
    with Spool() as spool:
        outcomes = _Outcomes(house, call, response, spool, brief=brief)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(outcomes.answer(window))
                await _read(house, call, window)
            await outcomes.finish()
        except ExceptionGroup as failed:
            # Nearly always the caller that left, which nobody needs to hear about.
            raise failed.exceptions[0] from None
    return response


async def _read(house: House, call: Call, window: Window) -> None:
    """Queues every line's payment, in the order of the lines."""
    settings = house.context.settings
    pieces = reading.chunks(call.request, settings.body_timeout_s)
    bunch_max = min(reading.BUNCH_MAX, house.intake.bunch_max)
    payments = BulkLines(call.caller.number)
    try:
        async for lines in reading.lines(pieces, settings.body_bytes_max, bunch_max):
            await window.put(await _submitted(house, payments.read(lines)))
    except Refusal as broken:
        # The body broke off or stalled: what came whole is kept, and the last line says why.
        await window.put(await _submitted(house, [broken]))
    await window.put(None)


async def _submitted(house: House, lines: Sequence[PaymentRequest | Exception]) -> Bunch:
    requests = [line for line in lines if isinstance(line, PaymentRequest)]
    known: list[Outcome] = []
    try:
        if house.stopping.is_set():
            raise Unavailable("unavailable", "This process is stopping; send this line again")
        if requests:
            return Bunch(lines, await house.intake.submit(requests))
    except Exception as failure:
        known = [failure] * len(requests)
    outcomes: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
    outcomes.set_result(known)
    return Bunch(lines, outcomes)


class _Outcomes:
    """Writes outcomes in their order, never waiting for a caller that does not read yet."""

    def __init__(
        self,
        house: House,
        call: Call,
        response: web.StreamResponse,
        spool: Spool,
        *,
        brief: bool,
    ) -> None:
        self._written = encode.bulk_brief if brief else encode.bulk_outcome
        self._telemetry = house.telemetry
        self._request = call.request
        self._response = response
        self._spool = spool
        self._index = 0
        self._became: list[tuple[str, str]] = []

    async def answer(self, window: Window) -> None:
        """Writes what comes out of the window until its end."""
        while (told := await window.get()) is not None:
            outcomes = iter(await told.outcomes)
            gathered: list[bytes] = []
            size = 0
            for line in told.lines:
                gathered.append(self._line(line, outcomes))
                size += len(gathered[-1])
                if size >= PIECE_BYTES:
                    await self._send(b"".join(gathered))
                    gathered, size = [], 0
            if gathered:
                await self._send(b"".join(gathered))
            # The committers come in between: a database that waits for its next statement is idle.
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Sends what was put aside, at the caller's pace."""
        writer = await self._writer()
        while len(self._spool):
            await writer.drain()
            await writer.write(self._spool.take())
        await self._response.write_eof()

    def _line(self, line: PaymentRequest | Exception, outcomes: Iterator[Outcome]) -> bytes:
        outcome: Outcome
        index = self._index
        self._index += 1
        if isinstance(line, PaymentRequest):
            method, outcome = METHODS[line.method], next(outcomes)
        else:
            method, outcome = UNKNOWN_METHOD, line
        if isinstance(outcome, Receipt):
            self._became.append((method, outcome_of(outcome)))
            payment, replayed, written = outcome.payment, outcome.replayed, outcome.written
            return self._written(index, replies.CREATED, payment, replayed, written)
        self._became.append((method, failed_as(outcome)))
        return encode.bulk_problem(index, problems.as_object(*told(outcome)))

    async def _writer(self) -> AbstractStreamWriter:
        writer = await self._response.prepare(self._request)
        if writer is None or self._request.transport is None:
            raise ConnectionResetError("The caller has left")
        return writer

    async def _send(self, piece: bytes) -> None:
        # Counted before it is answered, but not one by one, which costs as much as the answer.
        for (method, became), count in Counter(self._became).items():
            self._telemetry.payment(method, became, count)
        self._became.clear()
        writer = await self._writer()
        self._spool.append(piece)
        while len(self._spool) and self._unsent() < SENT_BYTES_MAX:
            await writer.write(self._spool.take(), drain=False)  # type: ignore[call-arg]

    def _unsent(self) -> int:
        transport = self._request.transport
        return 0 if transport is None else transport.get_write_buffer_size()
