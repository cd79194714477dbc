"""aiohttp's connection and request, narrowed to what this door wants of them.

No version banner, problems instead of aiohttp's own error pages, nothing of a request in a log.
"""

from typing import Any

from aiohttp import web

from gateway import logs
from gateway.api import replies


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
                logs.bug(exc, "the server")
            reply = replies.problem("internal", "The request was not carried out")
        reply.force_close()
        return reply

    def log_exception(self, *told: Any, **more: Any) -> None:
        """aiohttp's own complaints, by kind only."""
        failure = more.get("exc_info")
        if isinstance(failure, BaseException):
            logs.bug(failure, "the server")

    def close_if_idle(self) -> None:
        """Ends a connection on which nothing was asked that is not answered yet."""
        if not self._request_in_progress and not self._messages:
            self.force_close()
