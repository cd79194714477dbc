"""The door while traces are on: a span round every request, whose trace log line and answer name.

There is no hot road then: what goes by aiohttp has a task, and so a place for its span to stand.
"""

from http import HTTPStatus
from typing import Any, Final

from gateway import tracing
from gateway.api import replies
from gateway.api.door import Answer, Door
from gateway.api.replies import Reply
from gateway.api.request import Request
from gateway.domain.party import Caller

# Of W3C Trace Context, level 2: whoever asks learns where to look.
RESPONSE_HEADER: Final = "traceresponse"


class TracedDoor(Door):
    """A Door whose every answer is told of in a span."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._routes = {route.name: route for route in self._table.routes}

    async def _answer(self, request: Request) -> Answer:
        with tracing.request(request.headers.get("traceparent")):
            reply = await super()._answer(request)
            place = tracing.here()
            # A stream's head is written already.
            if place is not None and isinstance(reply, Reply):
                reply.extra += replies.header(RESPONSE_HEADER, place.traceparent)
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
        """As Door has it; the trace is the span's, which goes on from the caller's."""
        place = tracing.here()
        told: dict[str, tracing.Told] = {"http__response__status_code": status, "outcome": outcome}
        found = self._routes.get(route)
        if found is not None:
            told["name"] = f"{found.method} {found.path}"
            told["http__request__method"], told["http__route"] = found.method, found.path
        if caller is not None:
            told["caller"] = caller.number
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            told["failed"] = outcome
        tracing.tell(**told)
        super().tell(
            route,
            status,
            outcome,
            caller,
            started,
            request_id,
            traceparent if place is None else place.traceparent,
        )
