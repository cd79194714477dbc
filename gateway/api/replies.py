"""An answer as one run of bytes: precomputed head lines, date, length, body, in one write.

aiohttp asks three things of what a view returns: prepare, write_eof and keep_alive. Building a
header map for each answer costs a quarter of the whole request, so whole answers skip it.
Statuses of errors come from problems.py.
"""

from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion10, web
from aiohttp.helpers import rfc822_formatted_time

from gateway.api import problems

JSON = "application/json"
NDJSON = "application/x-ndjson"

SAFE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

OK_OUTCOME = "ok"

OK = 200
CREATED = 201


class Reply:
    """A whole answer: status, body and what else stands in its head.

    `outcome` is the word that its line in the log has: a problem's code, or what became of it.
    """

    __slots__ = ("content", "content_type", "extra", "keep_alive", "outcome", "status")

    def __init__(
        self, status: int, content: bytes, content_type: str = JSON, extra: bytes = b""
    ) -> None:
        self.status = status
        self.content = content
        self.content_type = content_type
        self.extra = extra
        self.keep_alive: bool | None = None
        self.outcome = OK_OUTCOME

    def force_close(self) -> None:
        """The connection ends after this answer."""
        self.keep_alive = False

    def whole(self, minor: int = 1, *, with_body: bool = True) -> bytes:
        """Head and body, in HTTP/1.`minor`; the connection goes on unless it was said to end."""
        return b"%b%bDate: %b\r\nContent-Length: %d\r\n\r\n%b" % (
            _head(self.status, self.content_type, minor, self.keep_alive is not False),
            self.extra,
            _date(rfc822_formatted_time()),
            len(self.content),
            self.content if with_body else b"",
        )

    async def prepare(self, request: web.BaseRequest) -> None:
        """Writes the whole answer; waits only for a peer that does not read."""
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("The caller has left")
        if self.keep_alive is None:
            self.keep_alive = request.keep_alive
        minor = 0 if request.version == HttpVersion10 else 1
        transport.write(self.whole(minor, with_body=request.method != "HEAD"))
        if transport.get_write_buffer_size():
            await request.writer.drain()

    async def write_eof(self) -> None:
        """Nothing: the body left with the head."""


@lru_cache(maxsize=4)
def _date(text: str) -> bytes:
    return text.encode()


@lru_cache(maxsize=1024)
def _head(status: int, content_type: str, minor: int, keep_alive: bool) -> bytes:
    lines = [
        f"HTTP/1.{minor} {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
    ]
    lines += [f"{name}: {value}" for name, value in SAFE_HEADERS.items()]
    if not keep_alive:
        lines.append("Connection: close")
    elif minor == 0:
        lines.append("Connection: keep-alive")
    return ("\r\n".join(lines) + "\r\n").encode()


def header(name: str, value: str) -> bytes:
    """One more line of a head; the value must be of visible ASCII."""
    return f"{name}: {value}\r\n".encode("ascii")


REPLAYED = header("Idempotency-Replayed", "true")


def problem(code: str, detail: str, extra: bytes = b"", retry_after_s: int | None = None) -> Reply:
    """A problem as an answer; `retry_after_s` adds Retry-After."""
    if retry_after_s is not None:
        extra += header("Retry-After", str(retry_after_s))
    if code == "unauthenticated":
        extra += header("WWW-Authenticate", 'Bearer realm="kopeck"')
    content = problems.content(code, detail)
    reply = Reply(problems.status_of(code), content, problems.MEDIA_TYPE, extra)
    reply.outcome = code
    return reply
