"""One request to an acquirer and its whole reply: bounded in time and size, nothing of it logged.

Whatever leaves the outcome open raises NoAnswer, by one rule for every bank.
"""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
from msgspec import Struct

from gateway.acquirers.words import NoAnswer
from gateway.steps import UNAVAILABLE, Steps

REPLY_BYTES_MAX: Final = 262_144
CONNECTIONS_MAX: Final = 100
# Beyond it a server is at fault or not there, and may have done what it was asked all the same.
FAULT_STATUS: Final = 500
SANDBOX: Final = "sandbox"


class Reply(Struct, frozen=True):
    """What came back: the status (below 500) and the body."""

    status: int
    body: bytes


class Exchange:
    """Connections to one acquirer below one URL; follows no redirect and no proxy of the machine.

    `authority` is a file of certificates to trust beside the system's; `steps` are told of each
    request, under the acquirer's `kind`.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        authority: Path | None = None,
        kind: str = SANDBOX,
        steps: Steps | None = None,
    ) -> None:
        self._kind = kind
        self._steps = Steps() if steps is None else steps
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context()
        if authority is not None:
            self._tls.load_verify_locations(authority)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=self._tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Reply:
        """The reply to one request; `path` begins with / and is already encoded.

        Raises NoAnswer for a reply of 500 and above, one too long, one cut off, or none in time.
        """
        with self._steps.step("acquirers", self._kind) as step:
            try:
                return await self._ask(method, path, headers, body)
            except NoAnswer:
                step.outcome = UNAVAILABLE
                raise

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        if self._session is None:
            raise RuntimeError("Expected an exchange that was entered")
        sent = {"Accept-Encoding": "identity", **headers}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request(
                    method, self._url + path, headers=sent, data=body, allow_redirects=False
                ) as response,
            ):
                content = bytearray()
                async for piece in response.content.iter_any():
                    content += piece
                    if len(content) > REPLY_BYTES_MAX:
                        raise NoAnswer("Expected a shorter reply")
                status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as failure:
            # Its message may hold the address and more; its kind says enough.
            raise NoAnswer(f"Expected a reply, was {type(failure).__name__}") from None
        if status >= FAULT_STATUS:
            raise NoAnswer(f"Expected a reply below {FAULT_STATUS}, was {status}")
        return Reply(status, bytes(content))
