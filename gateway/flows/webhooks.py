"""A recipient's webhooks and events: set, shown, tested, sent again, read without gaps."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from gateway.domain.event import EVENT_TYPES, TEST
from gateway.domain.ids import EVENT, new_id, shown
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import writing
from gateway.journal.rows import Cut
from gateway.webhooks import secrets, store
from gateway.webhooks.addresses import Rules
from gateway.webhooks.rows import DeliveryRow, NewEvent, WebhookRow
from gateway.webhooks.secrets import Seal

WEBHOOKS_MAX: Final = 8
SECRETS_MAX: Final = 5
OVERLAP: Final = timedelta(hours=24)


class Wanted(Struct, frozen=True):
    """A webhook as it is asked for; no types: all of them."""

    url: str
    types: Sequence[str]
    state: str


class Webhooks:
    """What callers do with webhooks; `recipient` is the id of whose they are."""

    def __init__(self, context: Context, rules: Rules, seal: Seal) -> None:
        self._context = context
        self._rules = rules
        self._seal = seal

    async def put(
        self, caller: Caller, recipient: str, name: str, wanted: Wanted
    ) -> tuple[dict[str, object], bool]:
        """Set a webhook; whether it is new, and then with its secret, which is shown once.

        Refuses `not_found`, `malformed`, `url_not_allowed`, `state_conflict` beyond WEBHOOKS_MAX.
        """
        self._rules.check_url(wanted.url)
        if not set(wanted.types) <= set(EVENT_TYPES):
            raise Refusal("malformed", f"Expected types of {', '.join(EVENT_TYPES)}")
        made, secret = new_id(), secrets.new()

        async def attempt() -> tuple[dict[str, object], bool]:
            async with self._context.connection() as conn, writing(conn):
                number = await _recipient(conn, recipient)
                await store.hold(conn, number)
                return await self._set(conn, caller, number, name, wanted, made, secret)

        return await patiently(self._context, attempt)

    async def _set(
        self,
        conn: Any,
        caller: Caller,
        number: int,
        name: str,
        wanted: Wanted,
        made: UUID,
        secret: bytes,
    ) -> tuple[dict[str, object], bool]:
        now = self._context.clock.now()
        before = await store.find(conn, number, name)
        if before is None and len(await store.of_recipient(conn, number)) >= WEBHOOKS_MAX:
            raise Refusal("state_conflict", f"Expected at most {WEBHOOKS_MAX} webhooks")
        types = sorted(set(wanted.types))
        await store.set_webhook(
            conn, made, number, name, wanted.url, types, wanted.state, now, caller.number
        )
        if before is None:
            await store.rotate(conn, made, self._seal.seal(secret, made), now, now)
        elif before.state != "active" and wanted.state == "active":
            await store.resume(conn, before.id, now)
        row = await store.find(conn, number, name)
        if row is None:
            raise Refusal("not_found", "Expected a webhook of this name")
        found = _shown(row)
        # An attempt whose commit was lost has made this very one.
        new = row.id == made
        return ({**found, "secret": secrets.shown(secret)} if new else found), new

    async def rotate(self, recipient: str, name: str, given: str | None) -> dict[str, object]:
        """Let another secret sign from now on; those before sign beside it for 24 hours.

        Refuses `not_found`, `malformed`, `state_conflict` while SECRETS_MAX are in force.
        """
        secret = secrets.new() if given is None else secrets.read(given)

        async def attempt() -> dict[str, object]:
            async with self._context.connection() as conn, writing(conn):
                number = await _recipient(conn, recipient)
                await store.hold(conn, number)
                row = await _webhook(conn, number, name)
                now = self._context.clock.now()
                known = await store.secrets_of(conn, row.id, now)
                newest = self._seal.open(known[0].secret, row.id)
                if newest != secret:
                    if len(known) >= SECRETS_MAX:
                        raise Refusal(
                            "state_conflict", f"Expected fewer than {SECRETS_MAX} secrets in force"
                        )
                    sealed = self._seal.seal(secret, row.id)
                    await store.rotate(conn, row.id, sealed, now, now + OVERLAP)
                    known = await store.secrets_of(conn, row.id, now)
                before = [one.until.isoformat() for one in known if one.until is not None]
                return {"secret": secrets.shown(secret), "before_until": before}

        return await patiently(self._context, attempt)

    async def remove(self, recipient: str, name: str) -> None:
        """Remove a webhook with its deliveries; refuses `not_found`."""
        async with self._context.connection() as conn:
            number = await _recipient(conn, recipient)
            if not await store.remove(conn, number, name):
                raise Refusal("not_found", "Expected a webhook of this name")

    async def show(self, recipient: str, name: str) -> dict[str, object]:
        """A webhook, without its secret; refuses `not_found`."""
        async with self._context.connection() as conn:
            return _shown(await _webhook(conn, await _recipient(conn, recipient), name))

    async def list_all(self, recipient: str) -> list[dict[str, object]]:
        """A recipient's webhooks by name; refuses `not_found`."""
        async with self._context.connection() as conn:
            rows = await store.of_recipient(conn, await _recipient(conn, recipient))
        return [_shown(row) for row in rows]

    async def deliveries(
        self, recipient: str, name: str, before: int | None, limit: int
    ) -> list[dict[str, object]]:
        """What became of a webhook's events, the newest first; refuses `not_found`."""
        async with self._context.connection() as conn:
            row = await _webhook(conn, await _recipient(conn, recipient), name)
            return [_delivery(one) for one in await store.deliveries(conn, row.id, before, limit)]

    async def test(self, claim: Claim, recipient: str, name: str) -> Answer:
        """Send a webhook an event that tells of nothing; refuses `not_found`."""
        event = new_id()

        async def act(conn: Any, cut: Cut) -> dict[str, object]:
            row = await _webhook(conn, await _recipient(conn, recipient), name)
            told = NewEvent(recipient, TEST, {"webhook": name}, row.id)
            await store.add_events(conn, self._context.clock.now(), [event], [told])
            return {"event": shown(EVENT, event)}

        return await once(self._context, claim, event, act)

    async def redeliver(self, claim: Claim, caller: Caller, event: UUID) -> Answer:
        """Send an event anew, under its id, to its recipient's webhooks as they are now.

        Refuses `not_found` also for somebody else's.
        """

        async def act(conn: Any, cut: Cut) -> dict[str, object]:
            found = await store.find_event(conn, event)
            if found is None or caller.recipient not in (None, found[1]):
                raise Refusal("not_found", "Expected the id of an event")
            count = await store.redeliver(conn, event, self._context.clock.now())
            return {"event": shown(EVENT, event), "webhooks": count}

        return await once(self._context, claim, new_id(), act)

    async def events(self, recipient: str, after: int, limit: int) -> dict[str, object]:
        """A recipient's events after a sequence: what was once read as missing never appears."""
        async with self._context.connection() as conn:
            number = await _recipient(conn, recipient)
            rows = await store.events_after(conn, number, after, limit)
        last = rows[-1].sequence if rows else after
        return {"events": [row.members() for row in rows], "last_sequence": last}


async def _recipient(conn: Any, recipient: str) -> int:
    number = await store.find_recipient(conn, recipient)
    if number is None:
        raise Refusal("not_found", "Expected a recipient that is registered")
    return number


async def _webhook(conn: Any, recipient: int, name: str) -> WebhookRow:
    row = await store.find(conn, recipient, name)
    if row is None:
        raise Refusal("not_found", "Expected a webhook of this name")
    return row


def _shown(row: WebhookRow) -> dict[str, object]:
    return {
        "name": row.name,
        "url": row.url,
        "types": row.types,
        "state": row.state,
        "reason": row.reason,
        "created_at": row.created_at.isoformat(),
        "changed_at": row.changed_at.isoformat(),
    }


def _delivery(row: DeliveryRow) -> dict[str, object]:
    return {
        "event": shown(EVENT, row.event),
        "type": row.type,
        "sequence": row.sequence,
        "state": row.state,
        "next_at": None if row.next_at is None else row.next_at.isoformat(),
        "attempts": [
            {"at": one.at.isoformat(), "outcome": one.outcome, "status": one.status}
            for one in row.attempts
        ],
    }
