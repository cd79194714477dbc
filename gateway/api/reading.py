"""Reading bodies: bounded in size and in time, whole or line by line."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.domain.refusals import Refusal

BUNCH_MAX: Final = 250
_BROKEN = (web.RequestPayloadError, HttpProcessingError, OSError, EOFError)


async def whole(request: web.BaseRequest, size_max: int, timeout_s: float) -> bytes:
    """The body in one piece; Refusals body_too_large, request_timeout, malformed."""
    payload = request.content
    try:
        if payload.is_eof():
            # Nearly every body came in one packet with its head: no deadline is needed for it.
            body = payload.read_nowait()
            if len(body) > size_max:
                raise _too_large(size_max)
            return body
        length = request.headers.get("Content-Length")
        if length is not None and int(length) > size_max:
            raise _too_large(size_max)
        gathered = bytearray()
        async with asyncio.timeout(timeout_s):
            while chunk := await payload.readany():
                gathered += chunk
                if len(gathered) > size_max:
                    raise _too_large(size_max)
        return bytes(gathered)
    except TimeoutError:
        raise Refusal("request_timeout", f"Expected the body within {timeout_s:g} s") from None
    except _BROKEN:
        raise Refusal("malformed", "Expected a whole body, was one that broke off") from None


async def chunks(request: web.BaseRequest, timeout_s: float) -> AsyncIterator[bytes]:
    """The body as it comes, each piece within `timeout_s`."""
    payload = request.content
    while True:
        try:
            async with asyncio.timeout(timeout_s):
                chunk = await payload.readany()
        except TimeoutError:
            raise Refusal(
                "request_timeout", f"Expected more of the body within {timeout_s:g} s"
            ) from None
        except _BROKEN:
            raise Refusal("malformed", "Expected a whole body, was one that broke off") from None
        if not chunk:
            return
        yield chunk


async def lines(
    pieces: AsyncIterator[bytes], line_max: int, bunch_max: int = BUNCH_MAX
) -> AsyncIterator[list[bytes | None]]:
    """Bunches of lines that hold anything, without their ends; None for one above `line_max`.

    A bunch is what came together, up to `bunch_max`. A last line without a newline counts, as the
    body ended there.
    """
    rest = b""
    skipping = False
    async for piece in pieces:
        *full, rest = (rest + piece).split(b"\n")
        if skipping and full:
            full, skipping = full[1:], False
        found = [None if len(line) > line_max else line for line in full if line.strip()]
        if len(rest) > line_max:
            if not skipping:
                found.append(None)
            rest, skipping = b"", True
        for at in range(0, len(found), bunch_max):
            yield found[at : at + bunch_max]
            # A fast sender must not keep every other caller waiting.
            await asyncio.sleep(0)
    if not skipping and rest.strip():
        yield [rest]


def _too_large(size_max: int) -> Refusal:
    return Refusal("body_too_large", f"Expected a body of at most {size_max} bytes")
