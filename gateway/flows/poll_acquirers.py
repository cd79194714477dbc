"""Asking about what is not settled: the tries and refunds of one acquirer, as they fall due.

Any worker may ask; the database gives each try to one of them at a time. One acquirer's silence
holds up nobody else's, as each has a poller of its own.
"""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Final

from gateway import logs
from gateway.acquirers import store
from gateway.acquirers.connected import Connected
from gateway.acquirers.requests import Authorisation
from gateway.flows.context import Context
from gateway.flows.hear_acquirer import Hearing, ask
from gateway.flows.refund_by_acquirer import Refunding

log = logs.logger("kopeck.acquirers")

LOOK_EVERY_S: Final = 0.5
AT_ONCE: Final = 16
LEASE_MARGIN: Final = timedelta(seconds=5)


async def waiting_tries(context: Context, conn: Any) -> list[tuple[str, str, int, float]]:
    """Kind, state, count and the oldest one's age (seconds) of all tries that are not settled."""
    now = context.clock.now()
    return [
        (kind, state, count, (now - oldest).total_seconds())
        for kind, state, count, oldest in await store.waiting(conn)
    ]


class Poller:
    """Asks one acquirer about what it has not said."""

    def __init__(
        self, context: Context, connected: Connected, hearing: Hearing, refunding: Refunding
    ) -> None:
        self._context = context
        self._connected = connected
        self._hearing = hearing
        self._refunding = refunding

    async def run(self) -> None:
        """Until it is cancelled; a database that is away is waited for."""
        while True:
            try:
                found = await self._look()
            except Exception as failure:
                self._log(failure)
                found = 0
            if found < AT_ONCE:
                # All workers look, so that none has to live; together as often as one would.
                await asyncio.sleep(LOOK_EVERY_S * self._context.settings.workers)

    async def _look(self) -> int:
        now = self._context.clock.now()
        # A refund may have to be asked about, and then asked for.
        until = now + timedelta(seconds=2 * self._connected.settings.asking_s) + LEASE_MARGIN
        name = self._connected.name
        async with self._context.connection() as conn:
            due = await store.take_due(conn, name, now, until, AT_ONCE)
            refunds = await store.take_due_refunds(conn, name, now, until, AT_ONCE)
        async with asyncio.TaskGroup() as asking:
            for one in due:
                asking.create_task(self._quietly(self._settle(one)))
            for refund in refunds:
                settling = self._refunding.settle(self._connected, refund)
                asking.create_task(self._quietly(settling))
        return max(len(due), len(refunds))

    async def _settle(self, one: Authorisation) -> None:
        if one.state == "taken":
            await self._hearing.book(one)
            return
        question = self._connected.acquirer.status(one.order(), one.operation)
        answer = await ask(self._connected, question)
        await self._hearing.hear(self._connected, one.id, answer)

    async def _quietly(self, settling: Awaitable[None]) -> None:
        try:
            await settling
        except Exception as failure:
            # The others of this round go on; this one is due again when its lease ends.
            self._log(failure)

    def _log(self, failure: Exception) -> None:
        logs.bug(failure, "polling an acquirer", acquirer=self._connected.name)
