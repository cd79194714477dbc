"""Noticing that the database was put back, by what it is on and by what gateways remember.

A restart, a failover to a standby that has all that was answered, and a second gateway change
nothing of either. A dump in another cluster is on another server; a copy of files, a snapshot or a
recovery to a moment has lost the newest batches that were approved or sent.
"""

import asyncio
from typing import Any, Final
from uuid import UUID

from gateway.domain.ids import SETTLEMENT_BATCH, new_id, shown
from gateway.flows import after_restore
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import writing
from gateway.settlement import store_restores, witness
from gateway.settlement.store_restores import UNTOLD
from gateway.settlement.witness import APPROVED, SENT, Mark

# What a batch may be in once it was sent.
_AFTER_SENDING: Final = ("sent", "partially_executed", "executed", "returned")


async def notice(context: Context) -> None:
    """Hold settlement where the database is on another server, or has lost what was settled."""
    await patiently(context, lambda: _notice(context))


async def _notice(context: Context) -> None:
    async with context.connection() as conn:
        server = await store_restores.server(conn)
        found = await store_restores.served_by(conn)
        if found is None or found[1] != server:
            async with writing(conn):
                found = await _moved(context, conn, server)
        marks = await _remembered(context, found[0])
        if marks and await _lost(conn, marks) is not None:
            async with writing(conn):
                await _forgotten(context, conn, marks)


async def remember(context: Context, batch: UUID, state: str) -> None:
    """Remember outside of the database that a batch was approved, or sent.

    Raises Unavailable where that cannot be: nothing leaves that nobody would remember.
    """
    directory = witness.directory_of(context.settings)
    if directory is None:
        return
    found = await patiently(context, lambda: _served_by(context))
    if found is not None:
        mark = Mark(batch, state, context.clock.now())
        await asyncio.to_thread(witness.remember, directory, found[0], mark)


async def _served_by(context: Context) -> tuple[UUID, str] | None:
    async with context.connection() as conn:
        return await store_restores.served_by(conn)


async def _moved(context: Context, conn: Any, server: str) -> tuple[UUID, str]:
    """Keep which server it is on from now on; one that it was not on before holds settlement."""
    await store_restores.lock(conn)
    found = await store_restores.served_by(conn)
    if found is not None and found[1] == server:
        return found
    now = context.clock.now()
    installation = new_id() if found is None else found[0]
    await store_restores.add_served_by(conn, installation, server, now)
    if found is not None and UNTOLD not in (server, found[1]):
        detail = f"the database is on server {server}, and was on {found[1]}"
        await after_restore.begin(conn, "server", detail, now, None)
    return installation, server


async def _remembered(context: Context, installation: UUID) -> list[Mark]:
    directory = witness.directory_of(context.settings)
    if directory is None:
        return []
    return await asyncio.to_thread(witness.read, directory, installation)


async def _lost(conn: Any, marks: list[Mark]) -> Mark | None:
    """The newest mark that the database does not bear out, and no restore since explains."""
    latest = await store_restores.latest(conn)
    states = await store_restores.states(conn, [mark.batch for mark in marks])
    for mark in reversed(marks):
        state, approved = states.get(mark.batch, ("", False))
        kept = approved if mark.state == APPROVED else state in _AFTER_SENDING
        if not kept and (latest is None or latest[1] < mark.at):
            return mark
    return None


async def _forgotten(context: Context, conn: Any, marks: list[Mark]) -> None:
    await store_restores.lock(conn)
    lost = await _lost(conn, marks)
    if lost is None:
        return
    done = "sent" if lost.state == SENT else "approved"
    detail = (
        f"a gateway remembers that {shown(SETTLEMENT_BATCH, lost.batch)} was {done} at"
        f" {lost.at.isoformat(timespec='seconds')}"
    )
    # Whoever remembers may have a clock that is ahead; what is explained stays explained.
    at = max(context.clock.now(), lost.at)
    await after_restore.begin(conn, "witness", detail, at, None)
