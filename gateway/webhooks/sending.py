"""One request to one webhook: to an address that was judged, once, and nothing of the answer read.

The name is resolved here and only here, so that the address that was judged is the one that is
connected to. No redirect, no proxy, no cookie; of an answer only its status and Retry-After count.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from yarl import URL

from gateway.domain import event
from gateway.domain.refusals import Refusal
from gateway.webhooks.addresses import ForbiddenAddress, Rules

GONE_STATUS: Final = 410
_SECONDS: Final = re.compile(r"[0-9]{1,7}", re.ASCII)
_HEADER_BYTES_MAX: Final = 8_190


class Reply(Struct, frozen=True):
    """What an attempt came to, a word of event.OUTCOMES; status and wait where a server told."""

    outcome: str
    status: int | None = None
    asked_to_wait: timedelta | None = None


class _Judging(AbstractResolver):
    """Resolves a name, and refuses it if any of its addresses may not be called."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(self._rules.may_go_to(one["host"]) for one in found):
            raise ForbiddenAddress
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Sender:
    """Sends to webhooks; a connection is used once."""

    def __init__(self, rules: Rules, timeout_s: float) -> None:
        self._rules = rules
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    @property
    def timeout_s(self) -> float:
        """The longest that one attempt takes."""
        return self._timeout_s

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=_Judging(self._rules),
            use_dns_cache=False,
            force_close=True,
            ssl=ssl.create_default_context(),
            socket_factory=self._socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=_HEADER_BYTES_MAX,
            max_field_size=_HEADER_BYTES_MAX,
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

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """What came of sending `body`; never raises for what the other side does."""
        if self._session is None:
            raise RuntimeError("Expected a sender that was entered")
        try:
            self._rules.check_url(url)
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(
                    URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
                ) as response,
            ):
                # What follows the head is never read: leaving closes the connection.
                return _told(response.status, response.headers.get("Retry-After"))
        except (Refusal, ForbiddenAddress):
            return Reply(event.FORBIDDEN)
        except TimeoutError:
            return Reply(event.TIMED_OUT)
        except (aiohttp.ClientError, OSError, ValueError):
            return Reply(event.UNREACHABLE)

    def _socket(self, address: "aiohttp.AddrInfoType") -> socket.socket:
        """The socket of a connection: the last look at where it goes."""
        family, kind, protocol, _, place = address
        if not self._rules.may_go_to(str(place[0])):
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)


def _told(status: int, retry_after: str | None) -> Reply:
    wait = None
    if retry_after is not None and _SECONDS.fullmatch(retry_after):
        wait = timedelta(seconds=int(retry_after))
    if 200 <= status < 300:
        return Reply(event.DELIVERED, status)
    if status == GONE_STATUS:
        return Reply(event.GONE, status)
    if 300 <= status < 400:
        return Reply(event.REDIRECTED, status, wait)
    return Reply(event.REFUSED, status, wait)
