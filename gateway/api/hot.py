"""The hot road: POST /v1/payments in plain form, from bytes to the queue and back without a task.

A connection begins here. At the first thing that is not plain, or not whole in time, it is handed
over to aiohttp with every byte that is not answered yet; no odd head is judged here.
"""

import asyncio
import time
from collections import deque
from typing import Final, Protocol, cast

from aiohttp.tcp_helpers import tcp_keepalive, tcp_nodelay

from gateway.api import door, plain
from gateway.api.call import House
from gateway.api.payments import Outcome, Paying, tell_when_done
from gateway.api.replies import Reply
from gateway.api.request import Connection
from gateway.api.routes import Route
from gateway.domain.party import Caller
from gateway.domain.payment import Receipt
from gateway.domain.refusals import InvariantBroken
from gateway.flows.context import Answer

# How many payments of one connection may wait for their answers before no more of it is read.
PIPELINED_MAX: Final = 32
PIPELINED_LOW: Final = PIPELINED_MAX // 2
# A request that began and is not whole by then goes to aiohttp, which has the deadlines for it.
WHOLE_S: Final = 0.25


class Doorstep(Protocol):
    """Who keeps count of the hot connections, and makes those of aiohttp."""

    def arrived(self, connection: "HotConnection") -> bool:
        """A connection was made; whether there is room for it."""
        ...

    def left(self, connection: "HotConnection") -> None:
        """A connection is no longer a hot one."""
        ...

    def cold(self) -> Connection:
        """A connection of aiohttp that is not made yet."""
        ...


class _Asked(Paying):
    """A payment of a hot connection: its outcome, once that is there, and what its answer needs."""

    __slots__ = (
        "_connection",
        "begun",
        "caller",
        "entered",
        "outcome",
        "request_id",
        "traceparent",
    )

    def __init__(
        self,
        house: House,
        connection: "HotConnection",
        request_id: str | None,
        traceparent: str | None,
    ) -> None:
        super().__init__(house)
        self._connection = connection
        self.request_id = request_id
        self.traceparent = traceparent
        self.begun = time.monotonic()
        self.caller: Caller | None = None
        self.entered = False
        self.outcome: Outcome | None = None

    def told(self, outcome: Outcome) -> None:
        """Takes the outcome, and has whatever can be answered now be answered."""
        self.outcome = outcome
        self._connection.answer_from(self)


class HotRoad:
    """What the hot connections of one worker share: the door's rules, for this one route."""

    def __init__(self, house: House, rules: door.Door, route: Route) -> None:
        settings = house.context.settings
        self.loop = house.loop
        self.leaving = house.leaving
        self.body_max = settings.body_bytes_max
        self.keepalive_s = float(settings.keepalive_s)
        self._house = house
        self._door = rules
        self._route = route
        self._overloaded = door.overloaded()
        self._asking: set[asyncio.Task[Receipt | Answer]] = set()

    def refusal(self, request_id: str | None, traceparent: str | None) -> bytes | None:
        """The whole answer to a payment for which there is no room; None where there is."""
        if not self._door.full or self.leaving.is_set():
            return None
        reply = door.problem(self._overloaded, marked=True)
        door.echo(reply, request_id)
        self._door.tell(
            self._route.name,
            reply.status,
            reply.outcome,
            None,
            time.monotonic(),
            request_id,
            traceparent,
        )
        return reply.whole()

    def ask(
        self,
        connection: "HotConnection",
        authorization: str,
        key: str,
        request_id: str | None,
        traceparent: str | None,
        content: bytes,
    ) -> _Asked:
        """Lets a payment in and queues it; it is told the receipt, or why there is none, but never
        before this returns.
        """
        self._door.begin()
        asked = _Asked(self._house, connection, request_id, traceparent)
        try:
            asked.caller = caller = self._door.let_in_now(self._route, authorization)
            if caller is None:
                self._ask_first(asked, authorization, key, content)
            else:
                self._door.enter()
                asked.entered = True
                asked.queue_telling(content, key, caller.number, asked.told)
        except Exception as failure:
            self.loop.call_soon(asked.told, failure)
        return asked

    def _ask_first(self, asked: _Asked, authorization: str, key: str, content: bytes) -> None:
        """The same, where the caller has to be looked up: once a second for a busy one."""

        async def ask() -> Receipt | Answer:
            asked.caller = caller = await self._door.let_in(self._route, [authorization])
            self._door.enter()
            asked.entered = True
            return await asked.queue(content, [key], caller.number)

        task = self.loop.create_task(ask(), name="a payment of a caller to be looked up")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        tell_when_done(task, asked.told)

    def answer(self, asked: _Asked, last: bool) -> bytes:
        """The bytes of the answer to a payment whose outcome is there; `last`: then we close."""
        try:
            reply = self._reply(asked)
        except Exception as failure:
            reply = door.problem(failure, marked=asked.request_id is not None)
        door.echo(reply, asked.request_id)
        self._door.tell(
            self._route.name,
            reply.status,
            reply.outcome,
            asked.caller,
            asked.begun,
            asked.request_id,
            asked.traceparent,
        )
        if asked.entered:
            self._door.leave()
        self._door.end()
        if last:
            reply.force_close()
        return reply.whole()

    def _reply(self, asked: _Asked) -> Reply:
        outcome = asked.outcome
        if isinstance(outcome, (Receipt, Answer)):
            return asked.taken(outcome)
        failure = outcome or InvariantBroken("Expected an outcome before an answer")
        asked.failed(failure)
        raise failure

    async def close(self) -> None:
        """Ends what still looks up a caller; for a worker that answers no more."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)


class HotConnection(asyncio.Protocol):
    """One connection while all that comes on it is plain. Answers leave in the order of requests.

    Bytes wait in `_kept` for more of them, for room among the payments in flight, or for the peer
    to read; it never holds more than one request and what was read at once.
    """

    __slots__ = (
        "_active_at",
        "_doorstep",
        "_held",
        "_idle_timer",
        "_kept",
        "_leaving",
        "_need",
        "_paused",
        "_pending",
        "_road",
        "_shape",
        "_transport",
        "_whole_timer",
    )

    def __init__(self, road: HotRoad, doorstep: Doorstep) -> None:
        self._road = road
        self._doorstep = doorstep
        self._transport: asyncio.Transport | None = None
        self._shape: plain.Shape | None = None
        self._pending: deque[_Asked] = deque()
        self._kept = b""
        # How many bytes there must be for another look to be worth it.
        self._need = 0
        # The peer does not read what we wrote; we do not read what it writes; aiohttp will.
        self._paused = False
        self._held = False
        self._leaving = False
        self._active_at = 0.0
        self._whole_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not descend from asyncio's.
        self._transport = transport = cast(asyncio.Transport, transport)
        tcp_nodelay(transport, True)
        tcp_keepalive(transport)
        self._active_at = self._road.loop.time()
        self._look_later(self._active_at + self._road.keepalive_s)
        if not self._doorstep.arrived(self):
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The payments in flight go on, and are counted when their outcome is there."""
        self._transport = None
        self._kept = b""
        self._forget()

    def data_received(self, data: bytes) -> None:
        if self._kept:
            data = self._kept + data
        if self._held or len(data) < self._need:
            self._kept = data
        else:
            self._read(data)

    def _read(self, content: bytes) -> None:
        """Takes the requests that are whole, one after another, and keeps what is left."""
        road, pending, shape = self._road, self._pending, self._shape
        at, size, need, plainly = 0, len(content), 0, True
        while at < size and not self._paused and len(pending) < PIPELINED_MAX:
            head = None if shape is None else shape.read(content, at)
            if head is None:
                shape = plain.shape_of(content, at)
                head = None if shape is None else shape.read(content, at)
            if shape is None or head is None:
                plainly = plain.may_begin(content, at)
                need = size - at + 1
                break
            key, request_id, traceparent, body_at, end = head
            plainly = end - body_at <= road.body_max
            if end > size or not plainly:
                need = end - at
                break
            at = end
            if not pending and self._refused(request_id, traceparent):
                continue
            asked = road.ask(
                self, shape.authorization, key, request_id, traceparent, content[body_at:end]
            )
            pending.append(asked)
        self._shape = shape
        self._kept = content[at:]
        self._need = need
        if need == 0 and at < size:
            self._hold()
        elif need == 0:
            if self._whole_timer is not None:
                self._wait_for_whole(False)
        elif plainly:
            self._wait_for_whole(True, anew=at > 0)
        else:
            self._leave()

    def _refused(self, request_id: str | None, traceparent: str | None) -> bool:
        """Whether there is no room for a payment, which is answered then and there: what a flood is
        refused by is taken from those who are served.
        """
        road, transport = self._road, self._transport
        refusal = road.refusal(request_id, traceparent)
        if refusal is None:
            return False
        if transport is not None and not transport.is_closing():
            transport.write(refusal)
            self._active_at = road.loop.time()
        return True

    def answer_from(self, asked: _Asked) -> None:
        """Writes, in one go, every answer whose turn has come, should this one's have."""
        road, pending, transport = self._road, self._pending, self._transport
        if pending[0] is not asked:
            return
        answers = []
        last = False
        while pending and pending[0].outcome is not None:
            asked = pending.popleft()
            last = road.leaving.is_set() and not pending
            answers.append(road.answer(asked, last))
        if transport is None or transport.is_closing():
            return
        transport.write(answers[0] if len(answers) == 1 else b"".join(answers))
        self._active_at = road.loop.time()
        if last:
            transport.close()
        elif self._leaving:
            if not pending:
                self._hand_over(transport)
        elif self._held:
            self._go_on()

    def _hold(self) -> None:
        """Reads no more for now, so that nothing can become whole either."""
        self._held = True
        self._wait_for_whole(False)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Reads again, if there is room and the peer reads too."""
        transport = self._transport
        if self._paused or len(self._pending) > PIPELINED_LOW:
            return
        if transport is None or transport.is_closing():
            return
        self._held = False
        transport.resume_reading()
        if self._kept:
            self._read(self._kept)

    def pause_writing(self) -> None:
        self._paused = True
        self._hold()

    def resume_writing(self) -> None:
        self._paused = False
        if not self._leaving:
            self._go_on()

    def _leave(self) -> None:
        """To aiohttp, once what was taken is answered."""
        self._leaving = True
        if self._pending:
            self._hold()
        elif self._transport is not None and not self._transport.is_closing():
            self._hand_over(self._transport)

    def _hand_over(self, transport: asyncio.Transport) -> Connection:
        kept, self._kept, self._transport = self._kept, b"", None
        self._forget()
        connection = self._doorstep.cold()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if self._paused:
            connection.pause_writing()
        if self._held:
            transport.resume_reading()
        if kept:
            connection.data_received(kept)
        return connection

    def _forget(self) -> None:
        self._doorstep.left(self)
        self._wait_for_whole(False)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _wait_for_whole(self, wait: bool, anew: bool = False) -> None:
        """Sets or stops the clock for a request of which only a part is there."""
        timer = self._whole_timer
        if timer is not None and (anew or not wait):
            timer.cancel()
            timer = None
        if wait and timer is None:
            timer = self._road.loop.call_later(WHOLE_S, self._leave)
        self._whole_timer = timer

    def _look_later(self, moment: float) -> None:
        self._idle_timer = self._road.loop.call_at(moment, self._end_if_idle)

    def _end_if_idle(self) -> None:
        """Ends a connection nothing came on, and one whose peer has long not read its answers."""
        road, transport = self._road, self._transport
        if transport is None:
            return
        now = road.loop.time()
        due = self._active_at + road.keepalive_s
        if self._pending or self._whole_timer is not None or now < due:
            self._look_later(due if now < due else now + road.keepalive_s)
        elif self._paused:
            transport.abort()
        else:
            transport.close()

    def close_if_idle(self) -> Connection | None:
        """For a worker that stops: ends an idle connection; one with part of a request goes over.

        What is in flight is answered, and the last answer ends the connection.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._pending:
            return None
        if self._kept and not self._paused:
            return self._hand_over(transport)
        transport.close()
        return None

    def close(self) -> None:
        """Ends the connection once what was written is taken."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()
