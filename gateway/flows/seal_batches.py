"""Sealing what was counted or approved, the oldest first, each in a transaction of its own.

A day of a million payments takes seconds to hash, so the close does not wait for it: a task of one
worker seals at once after it, and an approval or a report does where that task has not yet.
"""

from uuid import UUID

from gateway.domain.refusals import InvariantBroken
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import sealing
from gateway.seals import store as seal_store


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
                    await seal_store.seal(conn, batch, stage, context.clock.now())
    return True
