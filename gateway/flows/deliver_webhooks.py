"""Publishing events and sending them to webhooks, by whichever worker comes first.

A webhook is sent to by one worker at a time, one event at a time: whoever takes it holds it for as
long as an attempt may take. A worker that dies leaves a lease that ends; the event is then sent
again under the same id. What fails waits for its own next try and holds up no other event.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import orjson

from gateway import logs
from gateway.domain import event
from gateway.domain.ids import EVENT, shown
from gateway.flows.context import Context
from gateway.journal.db_transaction import writing
from gateway.steps import REFUSED, UNAVAILABLE
from gateway.telemetry import Telemetry
from gateway.webhooks import schedule, secrets, store
from gateway.webhooks.rows import Due
from gateway.webhooks.secrets import Seal
from gateway.webhooks.sending import Reply, Sender

log = logs.logger("kopeck.webhooks")

LOOK_EVERY_S: Final = 0.5
PUBLISHED_AT_ONCE: Final = 1_000
SENT_AT_ONCE: Final = 16
LEASE_MARGIN: Final = timedelta(seconds=5)
# A server that failed is left alone for so long, whatever else waits for it.
PAUSE: Final = timedelta(seconds=5)


async def publish(context: Context) -> int:
    """Publish what was committed; how many events, at most PUBLISHED_AT_ONCE."""
    async with context.connection() as conn:
        if not await store.unpublished(conn):
            return 0
        async with writing(conn):
            return await store.publish(conn, context.clock.now(), PUBLISHED_AT_ONCE)


async def waiting(context: Context, conn: Any) -> tuple[dict[str, int], int, float]:
    """Webhooks that are disabled by reason; deliveries that wait, and the oldest's age (s)."""
    count, oldest = await store.waiting(conn)
    age = 0.0 if oldest is None else (context.clock.now() - oldest).total_seconds()
    return await store.disabled(conn), count, age


class Deliverer:
    """Publishes and sends, for one worker."""

    def __init__(self, context: Context, sender: Sender, seal: Seal, telemetry: Telemetry) -> None:
        self._context = context
        self._sender = sender
        self._seal = seal
        self._telemetry = telemetry
        self._busy = 0
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled; a database that is away is waited for."""
        async with asyncio.TaskGroup() as sending:
            while True:
                self._freed.clear()
                try:
                    await publish(self._context)
                    await self.look(sending)
                except Exception as failure:
                    _log(failure)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._freed.wait()

    async def look(self, sending: asyncio.TaskGroup) -> int:
        """Take what is due, and send it in tasks of the group; how many were taken."""
        room = SENT_AT_ONCE - self._busy
        if room == 0:
            return 0
        now = self._context.clock.now()
        until = now + timedelta(seconds=self._sender.timeout_s) + LEASE_MARGIN
        async with self._context.connection() as conn:
            taken = await store.take_due(conn, now, until, room)
        for due in taken:
            self._busy += 1
            sending.create_task(self._quietly(due))
        return len(taken)

    async def _quietly(self, due: Due) -> None:
        delivered = False
        try:
            delivered = await self._deliver(due)
        except Exception as failure:
            # The others go on; this one is due again when its lease ends.
            _log(failure)
        finally:
            self._busy -= 1
            if delivered:
                # The next one of this webhook may go at once.
                self._freed.set()

    async def _deliver(self, due: Due) -> bool:
        body = orjson.dumps(due.event.members())
        message = shown(EVENT, due.event.id)
        keys = [self._seal.open(stored, due.webhook) for stored in due.secrets]
        timestamp = int(self._context.clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Kopeck",
            "webhook-id": message,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": secrets.signatures(keys, message, timestamp, body),
        }
        with self._context.steps.step("webhooks", "send") as step:
            reply = await self._sender.post(due.url, headers, body)
            if reply.outcome != event.DELIVERED:
                step.outcome = UNAVAILABLE if reply.status is None else REFUSED
        self._telemetry.webhook_attempt(reply.outcome)
        await self._keep(due, reply)
        return reply.outcome == event.DELIVERED

    async def _keep(self, due: Due, reply: Reply) -> None:
        now = self._context.clock.now()
        delivered = reply.outcome == event.DELIVERED
        following = None
        if not delivered:
            wait = reply.asked_to_wait
            tries = due.tries + 1
            following = schedule.next_try(due.webhook, due.event.id, tries, due.begun_at, now, wait)
        reason = schedule.disables(reply.outcome, following)
        state = event.DELIVERED if delivered else "failed" if following is None else "due"
        async with self._context.connection() as conn, writing(conn):
            await store.attempted(conn, due, now, reply.outcome, reply.status, state, following)
            await store.let_go(conn, due, now if delivered else now + PAUSE)
            if reason is not None and await store.disable(conn, due.webhook, reason, now):
                log.error("a webhook is disabled", reason=reason)


def _log(failure: Exception) -> None:
    logs.bug(failure, "webhooks")
