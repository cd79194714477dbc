"""Who asks: a bearer secret to its caller. The secret itself is neither kept nor logged."""

import asyncio
import re
from hashlib import sha256
from typing import Final

from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.storage import keys

# How long a revoked key may still be taken by a worker that has just seen it.
KNOWN_S: Final = 2.0
KNOWN_MAX: Final = 4096

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]{8,256})", re.ASCII)


class Authenticator:
    """Finds callers by the digest of their secret, and knows them for KNOWN_S.

    Secrets that nobody has are looked up every time: were they kept, guessing would fill memory
    and a new key would not work at once.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._loop = asyncio.get_running_loop()

    async def caller(self, headers: list[str]) -> Caller:
        """The caller of the Authorization headers; Refusal unauthenticated."""
        bearer = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
        if bearer is None:
            raise Refusal("unauthenticated", "Expected Authorization: Bearer and an API key")
        digest = sha256(bearer[1].encode()).digest()
        known = self._known.get(digest)
        now = self._loop.time()
        if known is not None and known[1] > now:
            return known[0]
        return await self._look_up(digest, now)

    async def _look_up(self, digest: bytes, now: float) -> Caller:
        async with self._context.connection() as conn:
            caller = await keys.find_caller(conn, digest)
        if caller is None:
            self._known.pop(digest, None)
            raise Refusal("unauthenticated", "Expected a key in force, was unknown or revoked")
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[digest] = (caller, now + KNOWN_S)
        return caller
