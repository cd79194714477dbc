"""Sealing what was counted or approved, the oldest first, each in a transaction of its own; and
what stands beside the batches, as it is found.

A day of a million payments takes seconds to hash, so the close does not wait for it: a task of one
worker seals at once after it, and an approval or a report does where that task has not yet.
"""

import asyncio
from typing import Any
from uuid import UUID

from gateway.domain.refusals import InvariantBroken
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import sealing
from gateway.seals import store as seal_store
from gateway.seals import store_history
from gateway.storage.kept_rows import KEPT

# All tables are looked through so often, whatever the server's statistics say: of rows on other
# nodes they have none.
_ALL_EVERY_S = 3600.0
# After a look so many times as long as it took: at most a twentieth of a core goes into looking.
_REST = 20


async def seal_all(context: Context) -> int:
    """Seal all that is to be; how many seals were made."""
    made = 0
    while await patiently(context, lambda: _seal_next(context)):
        made += 1
    return made


async def counted_root(context: Context, batch: UUID) -> bytes:
    """The root over the rows of a counted batch, which is sealed now where it is not yet."""
    for attempt in (True, False):
        async with context.connection() as conn:
            for seal in await seal_store.of_batch(conn, batch):
                if seal.stage == "counted":
                    return seal.root
        if attempt:
            await seal_all(context)
    raise InvariantBroken("Expected a counted batch to be sealed")


async def _seal_next(context: Context) -> bool:
    async with context.connection() as conn:
        if not await seal_store.unsealed(conn):
            return False
        async with sealing(conn):
            # Looked for again: somebody else may have sealed it while we waited.
            for batch, stage in (await seal_store.unsealed(conn))[:1]:
                with context.steps.step("seals", "seal"):
                    if stage == "counted":
                        await store_history.seal(conn, KEPT, batch, context.clock.now())
                    await seal_store.seal(conn, batch, stage, context.clock.now())
    return True


class History:
    """Seals what no batch's tree has, soon after it was written, and looks only where rows came.

    A look takes as long as its tables are (1.8 s a million rows), and then rests twenty times that.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[str, int] = {}
        self._all_at = 0.0
        self._rests_until = 0.0

    async def seal(self) -> bool:
        """Seal what is new; whether anything was."""
        return await patiently(self._context, self._seal)

    async def _seal(self) -> bool:
        loop = asyncio.get_running_loop()
        if (begun := loop.time()) < self._rests_until:
            return False
        async with self._context.connection() as conn:
            written = await store_history.written(conn)
            everything = begun >= self._all_at
            found = [t for t in KEPT if everything or written.get(t) != self._seen.get(t)]
            made = bool(found) and await self._look(conn, found)
        self._seen = written
        if everything:
            self._all_at = begun + _ALL_EVERY_S
        if found:
            self._rests_until = loop.time() + _REST * (loop.time() - begun)
        return made

    async def _look(self, conn: Any, tables: list[str]) -> bool:
        async with sealing(conn):
            with self._context.steps.step("seals", "history"):
                return await store_history.seal(conn, tables, None, self._context.clock.now())
