"""Asking about what is not settled: the tries and refunds of one acquirer, as they fall due.

Any worker may ask; the database gives each try to one of them at a time. One acquirer's silence
holds up nobody else's, as each has a poller of its own.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from gateway.acquirers import store
from gateway.acquirers.connected import Connected
from gateway.acquirers.requests import Authorisation
from gateway.flows.context import Context
from gateway.flows.hear_acquirer import Hearing, ask

log = logging.getLogger("kopeck.acquirers")

LOOK_EVERY_S: Final = 0.5
AT_ONCE: Final = 16
LEASE_MARGIN: Final = timedelta(seconds=5)


class Poller:
    """Asks one acquirer about what it has not said."""

    def __init__(self, context: Context, connected: Connected, hearing: Hearing) -> None:
        self._context = context
        self._connected = connected
        self._hearing = hearing

    async def run(self) -> None:
        """Until it is cancelled; a database that is away is waited for."""
        while True:
            try:
                found = await self._look()
            except Exception as failure:
                self._log(failure)
                found = 0
            if found < AT_ONCE:
                await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> int:
        now = self._context.clock.now()
        until = now + timedelta(seconds=self._connected.settings.asking_s) + LEASE_MARGIN
        async with self._context.connection() as conn:
            due = await store.take_due(conn, self._connected.name, now, until, AT_ONCE)
        async with asyncio.TaskGroup() as asking:
            for one in due:
                asking.create_task(self._settle(one))
        return len(due)

    async def _settle(self, one: Authorisation) -> None:
        try:
            if one.state == "taken":
                await self._hearing.book(one)
                return
            question = self._connected.acquirer.status(one.order(), one.operation)
            answer = await ask(self._connected, question)
            await self._hearing.hear(self._connected, one.id, answer)
        except Exception as failure:
            # The others of this round go on; this one is due again when its lease ends.
            self._log(failure)

    def _log(self, failure: Exception) -> None:
        log.error(
            "polling acquirer %s: %s at %s",
            self._connected.name,
            type(failure).__name__,
            failure.__traceback__ and failure.__traceback__.tb_lineno,
        )
