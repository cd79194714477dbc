"""The one wrapper round every view: route, caller, limits, body, view, problem, count.

One flat function instead of a stack of middlewares: each layer of a stack costs every payment. What
it is made of serves the hot road as well, so that no rule stands in two places.
"""

import asyncio
import re
import time
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, web

from gateway import logs
from gateway.api import problems, reading, replies
from gateway.api.authenticate import Authenticator
from gateway.api.call import Call, House
from gateway.api.failures import told
from gateway.api.rate_limit import RateLimit
from gateway.api.replies import Reply
from gateway.api.request import Request
from gateway.api.request_log import RequestLog
from gateway.api.routes import EVERYBODY, JSON_BODY, NO_BODY, InOwnWords, Route, RouteTable
from gateway.domain import ids
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal, Unavailable

UNMATCHED: Final = "unmatched"
# Where a request keeps who sent it, for its line in the log.
CALLER: Final = web.RequestKey("caller", Caller)
NO_PATH: Final = "Expected a path of this gateway; /docs lists them"

_VERSIONS: Final = (HttpVersion11, HttpVersion10)
# Types that say nothing, such as those that curl and urllib put on a body nobody named, are let
# through to the strict decoder; what names another form is not.
_JSON_TYPES: Final = frozenset(
    {
        "",
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "text/plain",
    }
)
_STREAM_TYPES: Final = _JSON_TYPES | {
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
}
_REQUEST_ID: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_CLOSING: Final = frozenset(
    {"request_timeout", "body_too_large", "unsupported_media_type", "expectation_failed"}
)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

Answer = Reply | web.StreamResponse


class Door:
    """Answers every request of one worker; `in_flight` counts those that are gated."""

    def __init__(self, house: House, table: RouteTable, limit: RateLimit, log: RequestLog) -> None:
        settings = house.context.settings
        self._house = house
        self._table = table
        self._hot_name = table.hot().name
        self._limit = limit
        self._log = log
        self._authenticator = Authenticator(house.context)
        self._body_max = settings.body_bytes_max
        self._body_timeout_s = settings.body_timeout_s
        self._in_flight_max = settings.queue_max
        self.in_flight = 0
        self._answering = 0
        self._idle = asyncio.Event()

    async def idle(self) -> None:
        """Returns once no request is being answered; for a worker that takes no more of them."""
        while self._answering:
            self._idle.clear()
            await self._idle.wait()

    def begin(self) -> None:
        """One more request is being answered, until `end`."""
        self._answering += 1

    def end(self) -> None:
        """One request less is being answered."""
        self._answering -= 1
        if not self._answering:
            self._idle.set()

    @property
    def full(self) -> bool:
        """Whether another gated request would be refused."""
        return self.in_flight >= self._in_flight_max

    def enter(self) -> None:
        """One more gated request is in flight, until `leave`; refuses `overloaded`."""
        if self.full:
            raise overloaded()
        self.in_flight += 1

    def leave(self) -> None:
        """One gated request less is in flight."""
        self.in_flight -= 1

    async def answer(self, request: Request) -> Answer:
        """The answer to any request whatsoever; raises only when nobody is there to hear it."""
        self.begin()
        try:
            reply = await self._answer(request)
        finally:
            self.end()
        # A stream's head is written already: only the next answer can announce the end.
        leaving = self._house.leaving.is_set() and isinstance(reply, Reply)
        if leaving or self._house.stopping.is_set():
            reply.force_close()
        return reply

    async def _answer(self, request: Request) -> Answer:
        name = UNMATCHED
        started = time.monotonic()
        try:
            if request.version not in _VERSIONS:
                raise Refusal("http_version_not_supported", "Expected HTTP/1.1 or HTTP/1.0")
            path = request.raw_path.partition("?")[0]
            if path[:1] != "/":
                path = request.rel_url.raw_path
            route, names, methods = self._table.find(request.method, path)
            if route is None:
                reply: Answer = self._no_route(request, methods)
            else:
                name = route.name
                reply = await self._serve(route, request, names)
        except Exception as failure:
            if request.writer.output_size > 0 or request.transport is None:
                if told(failure)[0] == "internal":
                    logs.bug(failure, name)
                _break_off(request)
                raise ConnectionResetError("The answer broke off") from failure
            reply = self._problem(request, failure)
        given = request.headers.get("X-Request-Id")
        outcome = replies.OK_OUTCOME
        if isinstance(reply, Reply):
            echo(reply, given)
            outcome = reply.outcome
        self.tell(
            name,
            reply.status,
            outcome,
            request.get(CALLER),
            started,
            given,
            request.headers.get("traceparent"),
        )
        if name != self._hot_name:
            self._house.telemetry.took(name, time.monotonic() - started)
        return reply

    def tell(
        self,
        route: str,
        status: int,
        outcome: str,
        caller: Caller | None,
        started: float,
        request_id: str | None,
        traceparent: str | None,
    ) -> None:
        """Counts a request that is answered, and writes its line.

        `started` is of time.monotonic: uvloop's own clock stands still within a turn.
        """
        self._house.telemetry.answered(route, status)
        seconds = time.monotonic() - started
        self._log.answered(route, status, outcome, caller, seconds, request_id, traceparent)

    async def _serve(self, route: Route, request: Request, names: tuple[str, ...]) -> Answer:
        if route.in_own_words is not None:
            return await self._serve_in_own_words(route, route.in_own_words, request, names)
        if route.gated and self.full:
            # Before any work, also that of finding out who asks.
            raise overloaded()
        caller = None
        if route.roles is not EVERYBODY:
            given = request.headers.getall("Authorization", [])
            caller = await self._recognise(route, given)
            request[CALLER] = caller
            await self._admit(caller)
        return await self._carry_out(route, request, names, caller)

    async def _serve_in_own_words(
        self, route: Route, told: InOwnWords, request: Request, names: tuple[str, ...]
    ) -> Answer:
        """As others are served, but that the view's protocol answers all once the key is good."""
        given = request.headers.getall("Authorization", [])
        if route.key_in_path:
            given = [f"Bearer {names[-1]}"]
        caller = await self._recognise(route, given)
        request[CALLER] = caller
        try:
            await self._admit(caller)
            return await self._carry_out(route, request, names, caller)
        except Exception as failure:
            return told(self._house, request, failure)

    async def _carry_out(
        self, route: Route, request: Request, names: tuple[str, ...], caller: Caller | None
    ) -> Answer:
        if not route.gated:
            return await self._see(route, request, names, caller)
        self.enter()
        try:
            return await self._see(route, request, names, caller)
        finally:
            self.leave()

    async def _see(
        self, route: Route, request: Request, names: tuple[str, ...], caller: Caller | None
    ) -> Answer:
        content = b"" if route.body is NO_BODY else await self._body(route, request)
        return await route.view(self._house, Call(request, caller, names, content))

    def let_in_now(self, route: Route, header: str) -> Caller | None:
        """As `let_in`, by what is known; None where that has to be asked for."""
        caller = self._authenticator.known(header)
        if caller is None or caller.role not in route.roles:
            return None
        if self._limit.enabled:
            admitted = self._limit.admits_now(caller.number)
            if admitted is None:
                return None
            if not admitted:
                raise _rate_limited()
        return caller

    async def let_in(self, route: Route, headers: list[str]) -> Caller:
        """The caller of the Authorization headers, who may use the route now.

        Refuses `unauthenticated`, `forbidden` and `rate_limited`.
        """
        caller = await self._recognise(route, headers)
        await self._admit(caller)
        return caller

    async def _recognise(self, route: Route, headers: list[str]) -> Caller:
        caller = await self._authenticator.caller(headers)
        if caller.role not in route.roles:
            raise Refusal("forbidden", f"Expected role {' or '.join(sorted(route.roles))}")
        return caller

    async def _admit(self, caller: Caller) -> None:
        if self._limit.enabled and not await self._limit.admits(caller.number):
            raise _rate_limited()

    async def _body(self, route: Route, request: Request) -> bytes:
        """The whole body of a JSON route; of a stream only that it may be read."""
        headers = request.headers
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refusal("unsupported_media_type", "Expected a body without Content-Encoding")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        is_json = route.body is JSON_BODY
        if route.takes:
            # Senders of files name their type as they like; only a form would hide the file.
            if kind.startswith("multipart/"):
                raise Refusal("unsupported_media_type", "Expected the file itself as the body")
        elif kind not in (_JSON_TYPES if is_json else _STREAM_TYPES):
            expected = replies.JSON if is_json else f"{replies.JSON} or {replies.NDJSON}"
            raise Refusal("unsupported_media_type", f"Expected Content-Type {expected}")
        if "Expect" in headers:
            await _meet_expectation(request)
        if not is_json:
            return b""
        return await reading.whole(request, self._body_max, self._body_timeout_s)

    def _no_route(self, request: Request, methods: list[str]) -> Reply:
        if not methods and request.method not in ("TRACE", "CONNECT"):
            return self._problem(request, Refusal("not_found", NO_PATH))
        allowed = ", ".join(methods or ["GET", "POST", "PUT", "DELETE"])
        detail = f"Expected {allowed}"
        reply = replies.problem("method_not_allowed", detail, replies.header("Allow", allowed))
        if not request.content.is_eof() or request.method == "CONNECT":
            reply.force_close()
        return reply

    def _problem(self, request: Request, failure: Exception) -> Reply:
        reply = problem(failure, marked="X-Request-Id" in request.headers)
        if not request.content.is_eof() or request.version not in _VERSIONS:
            reply.force_close()
        return reply


def problem(failure: Exception, *, marked: bool) -> Reply:
    """A failure as an answer; a bug is logged under a mark unless the caller gave its own."""
    code, detail = told(failure)
    extra = b""
    if code == "internal":
        # What the caller can quote to us, and what stands in the log.
        mark = ids.new_id().hex
        logs.bug(failure, "a request", mark=mark)
        if not marked:
            extra = replies.header("X-Request-Id", mark)
    retry_after_s = None
    if problems.status_of(code) in (429, 503):
        retry_after_s = getattr(failure, "retry_after_s", 1)
    reply = replies.problem(code, detail, extra, retry_after_s)
    if code in _CLOSING:
        reply.force_close()
    return reply


def echo(reply: Reply, given: str | None) -> None:
    """Gives a request's own id back with its answer."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        reply.extra += replies.header("X-Request-Id", given)


def overloaded() -> Unavailable:
    """Why a gated request is refused where there is no room."""
    return Unavailable("overloaded", "Too many payments are waiting; nothing was done")


def _rate_limited() -> Unavailable:
    return Unavailable("rate_limited", "Expected fewer requests a second")


async def _meet_expectation(request: Request) -> None:
    if request.headers["Expect"].lower() != "100-continue":
        raise Refusal("expectation_failed", "Expected no expectation but 100-continue")
    if request.version == HttpVersion11 and not request.content.is_eof():
        transport = request.transport
        if transport is not None:
            transport.write(_CONTINUE)


def _break_off(request: Request) -> None:
    """Ends a connection whose answer cannot be finished, so that nobody takes it for whole."""
    transport = request.transport
    if transport is not None:
        transport.abort()
