"""A small document of somebody else's, in a file or behind an https URL, kept as new as it may be.

Never read on anybody's way: a task of its own looks after it, and whoever needs it takes what was
read last. What cannot be read, or is not in its form, leaves the one before in place.
"""

import asyncio
import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

import aiohttp

from gateway import logs

DOCUMENT_BYTES_MAX: Final = 65_536
# How long until the next look: at a file, after a failure, and at a URL that does not say.
FILE_S: Final = 5.0
AGAIN_S: Final = 60.0
USUAL_S: Final = 3_600.0
# However short or long its owner says that it may be kept.
KEPT_MIN_S: Final = 60.0
KEPT_MAX_S: Final = 86_400.0

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age=([0-9]{1,9})(?:$|[,\s])", re.IGNORECASE)
_AGE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)

log = logs.logger("kopeck.storage")

Value = TypeVar("Value")


class FreshDocument(Generic[Value]):
    """`value` is the document as `parse` read it last, None while it never could be.

    `parse` raises ValueError for what is not in its form. `tls` is for a server that the machine's
    own certificates do not vouch for.
    """

    def __init__(
        self, source: str, parse: Callable[[bytes], Value], tls: ssl.SSLContext | None = None
    ) -> None:
        self.value: Value | None = None
        self._source = source
        self._parse = parse
        self._tls = tls
        self._seen: tuple[int, int, int] | None = None

    @property
    def is_remote(self) -> bool:
        """Whether it stands behind a URL, and so may be out of reach at the start."""
        return self._source.lower().startswith("https://")

    def read_file(self) -> None:
        """Reads the file if it changed; raises OSError and ValueError."""
        told = os.stat(self._source)
        seen = (told.st_mtime_ns, told.st_size, told.st_ino)
        if seen == self._seen:
            return
        if told.st_size > DOCUMENT_BYTES_MAX:
            raise ValueError(f"Expected at most {DOCUMENT_BYTES_MAX} bytes")
        self.value = self._parse(Path(self._source).read_bytes())
        self._seen = seen

    async def keep_fresh(self) -> None:
        """Reads it again and again, until cancelled."""
        while True:
            pause_s = await self.refresh()
            await asyncio.sleep(pause_s)

    async def refresh(self) -> float:
        """Reads it once; how many seconds it need not be read again. Never raises for its sake."""
        try:
            if self.is_remote:
                return await self._fetch()
            self.read_file()
            return FILE_S
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as failure:
            # The kind alone: a URL may have a secret in it, and a document is not ours to quote.
            log.warning("a document could not be read again", failure=type(failure).__name__)
            return AGAIN_S

    async def _fetch(self) -> float:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            # Where a redirect leads was not what the operator trusted.
            session.get(self._source, allow_redirects=False, ssl=self._tls or True) as response,
        ):
            if response.status != 200:
                raise ValueError(f"Expected status 200, was {response.status}")
            content = await _whole(response.content)
            self.value = self._parse(content)
            return kept_s(
                response.headers.get("Cache-Control", ""), response.headers.get("Age", "")
            )


async def _whole(stream: aiohttp.StreamReader) -> bytes:
    content = bytearray()
    async for piece in stream.iter_any():
        content += piece
        if len(content) > DOCUMENT_BYTES_MAX:
            raise ValueError(f"Expected at most {DOCUMENT_BYTES_MAX} bytes")
    return bytes(content)


def kept_s(cache_control: str, age: str) -> float:
    """How many seconds an answer with these headers may be kept, within our own bounds."""
    match = _MAX_AGE.search(cache_control)
    if match is not None:
        passed = int(age) if _AGE.fullmatch(age) else 0
        return min(max(float(match[1]) - passed, KEPT_MIN_S), KEPT_MAX_S)
    told = cache_control.lower()
    return KEPT_MIN_S if "no-cache" in told or "no-store" in told else USUAL_S
