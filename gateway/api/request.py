"""aiohttp's connection and request, narrowed to what this door wants of them.

No version banner, problems instead of aiohttp's own error pages, nothing of a request in a log,
and a bound on the connections of one worker.
"""

import logging
import traceback
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.api import replies

log = logging.getLogger("kopeck.api")


class Request(web.BaseRequest):
    """A request whose streamed answers do not name the server's software."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)


class Connection(web.RequestHandler):
    """A connection that answers what is no HTTP, and faults of aiohttp's own, with problems."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Any:
        """400 for what the parser refused, 500 for anything else; the connection ends."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("Nobody is there, or an answer had begun")
        if status == 400:
            reply = replies.problem("malformed", "Expected a well-formed HTTP request")
        else:
            if exc is not None:
                log_bug(exc, "the server")
            reply = replies.problem("internal", "The request was not carried out")
        reply.force_close()
        return reply

    def log_exception(self, *told: Any, **more: Any) -> None:
        """aiohttp's own complaints, by kind only."""
        failure = more.get("exc_info")
        if isinstance(failure, BaseException):
            log_bug(failure, "the server")

    def close_if_idle(self) -> None:
        """Ends a connection on which nothing was asked that is not answered yet."""
        if not self._request_in_progress and not self._messages:
            self.force_close()


class Server(web.Server):
    """Makes connections, at most `connections_max` of them at once."""

    def __init__(self, answer: Any, connections_max: int, **settings: Any) -> None:
        super().__init__(answer, request_factory=self._request, **settings)
        self._connections_max = connections_max
        self._connection_settings = settings

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: Any,
    ) -> Request:
        return Request(message, payload, protocol, writer, task, self._loop)

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._connection_settings)

    def connection_made(self, handler: web.RequestHandler, transport: Any) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self._connections_max:
            transport.abort()

    def close_idle(self) -> None:
        """Ends every connection that waits for its next request."""
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.close_if_idle()


def log_bug(failure: BaseException, where: str) -> None:
    """One line for a failure nobody expected: its kind and our lines it passed, no values.

    The message is left out, as it may quote what a caller sent or what stands in a row.
    """
    frames = traceback.extract_tb(failure.__traceback__)
    path = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-12:]))
    log.error("%s in %s: %s", type(failure).__name__, where, path)
