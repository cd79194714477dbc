"""Who asks: a bearer secret to its caller. A secret is kept in memory only and never logged."""

import asyncio
import re
from typing import Final, NamedTuple

from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.storage import keys

# How long a revoked key may still be taken by a worker that has just seen it.
KNOWN_S: Final = 2.0
# From this age on one request looks the key up again, while the others go by what is known.
FRESH_S: Final = 1.0
KNOWN_MAX: Final = 1024

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]{8,256})", re.ASCII)


class _Known(NamedTuple):
    caller: Caller
    asked_at: float


class Authenticator:
    """Finds callers by the digest of their secret, and knows their headers for KNOWN_S.

    Secrets that nobody has are looked up every time: were they kept, guessing would fill memory
    and a new key would not work at once.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[str, _Known] = {}
        self._looking_up: dict[str, asyncio.Event] = {}
        self._loop = asyncio.get_running_loop()

    async def caller(self, headers: list[str]) -> Caller:
        """The caller of the Authorization headers; Refusal unauthenticated."""
        if len(headers) != 1:
            raise _no_bearer()
        return self.known(headers[0]) or await self._look_up_once(headers[0])

    def known(self, header: str) -> Caller | None:
        """The caller of an Authorization header that was looked up just now."""
        return self._known_for(header, FRESH_S)

    def _known_for(self, header: str, seconds: float) -> Caller | None:
        known = self._known.get(header)
        if known is None or self._loop.time() - known.asked_at >= seconds:
            return None
        return known.caller

    async def _look_up_once(self, header: str) -> Caller:
        """A burst looks its key up once: the others wait for the first and go by what it found.

        Where it found nothing each asks for itself, so that none waits for more than one other.
        """
        bearer = _BEARER.fullmatch(header)
        if bearer is None:
            raise _no_bearer()
        first = self._looking_up.get(header)
        if first is not None:
            known = self._known_for(header, KNOWN_S)
            if known is None:
                await first.wait()
                known = self._known_for(header, FRESH_S)
            if known is not None:
                return known
        mine = self._looking_up[header] = asyncio.Event()
        try:
            return await self._look_up(header, bearer[1])
        finally:
            mine.set()
            if self._looking_up.get(header) is mine:
                del self._looking_up[header]

    async def _look_up(self, header: str, secret: str) -> Caller:
        now = self._loop.time()
        async with self._context.connection() as conn:
            caller = await keys.find_caller(conn, keys.digest_of(secret))
        if caller is None:
            self._known.pop(header, None)
            raise Refusal("unauthenticated", "Expected a key in force, was unknown or revoked")
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[header] = _Known(caller, now)
        return caller


def _no_bearer() -> Refusal:
    return Refusal("unauthenticated", "Expected Authorization: Bearer and an API key")
