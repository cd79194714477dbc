"""SQL of events, webhooks and deliveries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from gateway.webhooks.rows import (
    AttemptRow,
    DeliveryRow,
    Due,
    EventRow,
    NewEvent,
    SecretRow,
    WebhookRow,
)

PUBLISH_LOCK = 7310

_RECIPIENT = "SELECT number FROM recipients WHERE id = $1"
_ADD_EVENTS = """
    INSERT INTO events (id, recipient, type, at, content, webhook)
    SELECT u.id, r.number, u.type, $1, u.content, u.webhook
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::json[], $6::uuid[])
         WITH ORDINALITY AS u (id, recipient, type, content, webhook, place)
    JOIN recipients AS r ON r.id = u.recipient
    ORDER BY u.place
"""
_UNPUBLISHED = "SELECT EXISTS (SELECT FROM events WHERE sequence IS NULL)"
_TRY_LOCK = f"SELECT pg_try_advisory_xact_lock({PUBLISH_LOCK})"
# An event that is seen was committed, and so was all that it followed: within what is seen, the
# order of numbers is that of causes. What commits later is seen, and numbered, later.
_PUBLISH = """
    WITH fresh AS (
        SELECT id, recipient, number FROM events WHERE sequence IS NULL ORDER BY number LIMIT $1),
    placed AS (
        SELECT f.id, row_number() OVER (PARTITION BY f.recipient ORDER BY f.number)
               + coalesce((SELECT max(e.sequence) FROM events AS e
                           WHERE e.recipient = f.recipient), 0) AS sequence
        FROM fresh AS f),
    published AS (
        UPDATE events AS e SET sequence = p.sequence FROM placed AS p WHERE e.id = p.id
        RETURNING e.id, e.recipient, e.type, e.webhook),
    told AS (
        INSERT INTO webhook_deliveries (webhook, event, state, tries, begun_at, next_at)
        SELECT w.id, p.id, 'due', 0, $2, $2
        FROM published AS p JOIN webhooks AS w USING (recipient)
        WHERE CASE WHEN p.webhook IS NULL
                   THEN cardinality(w.types) = 0 OR p.type = ANY (w.types)
                   ELSE w.id = p.webhook END)
    SELECT count(*) FROM published
"""
_EVENTS = """
    SELECT id, type, at, sequence, content FROM events
    WHERE recipient = $1 AND sequence > $2 ORDER BY sequence LIMIT $3
"""
_EVENT = """
    SELECT e.id, e.type, e.at, e.sequence, e.content, r.id AS recipient, e.webhook
    FROM events AS e JOIN recipients AS r ON r.number = e.recipient
    WHERE e.id = $1 AND e.sequence IS NOT NULL
"""
_WEBHOOKS = """
    SELECT w.id, w.recipient, w.name, w.url, w.types, w.state, w.reason, w.created_at, w.changed_at
    FROM webhooks AS w
"""
_OF_RECIPIENT = _WEBHOOKS + " WHERE w.recipient = $1 ORDER BY w.name"
_NAMED = _WEBHOOKS + " WHERE w.recipient = $1 AND w.name = $2"
# What is set of a recipient's webhooks is set by one at a time.
_HOLD = "SELECT FROM recipients WHERE number = $1 FOR NO KEY UPDATE"
_SET = """
    INSERT INTO webhooks (id, recipient, name, url, types, state, created_at, changed_at,
                          changed_by, leased_until)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $7)
    ON CONFLICT (recipient, name) DO UPDATE
    SET url = excluded.url, types = excluded.types, state = excluded.state, reason = NULL,
        changed_at = excluded.changed_at, changed_by = excluded.changed_by
    RETURNING id
"""
_RESUME = """
    UPDATE webhook_deliveries SET tries = 0, begun_at = $2, next_at = $2
    WHERE webhook = $1 AND next_at IS NOT NULL
"""
_REMOVE = "DELETE FROM webhooks WHERE recipient = $1 AND name = $2"
_SECRETS = """
    SELECT number, secret, until FROM webhook_secrets
    WHERE webhook = $1 AND (until IS NULL OR until > $2) ORDER BY number DESC
"""
_END_SECRETS = "UPDATE webhook_secrets SET until = $2 WHERE webhook = $1 AND until IS NULL"
_DROP_SECRETS = "DELETE FROM webhook_secrets WHERE webhook = $1 AND until <= $2"
_ADD_ANOTHER = """
    INSERT INTO webhook_secrets (webhook, number, secret)
    SELECT $1, coalesce(max(number), 0) + 1, $2 FROM webhook_secrets WHERE webhook = $1
"""
_REDELIVER = """
    INSERT INTO webhook_deliveries AS d (webhook, event, state, tries, begun_at, next_at)
    SELECT w.id, $1, 'due', 0, $2, $2 FROM webhooks AS w
    JOIN events AS e ON e.recipient = w.recipient AND e.id = $1
    WHERE e.webhook IS NULL OR e.webhook = w.id
    ON CONFLICT (webhook, event) DO UPDATE
    SET state = 'due', tries = 0, begun_at = excluded.begun_at, next_at = excluded.next_at
"""
# The rows are locked only for the instant of this statement: who takes them holds them by time.
_LEASE = """
    UPDATE webhooks SET leased_until = $2
    WHERE id IN (SELECT w.id FROM webhooks AS w
                 WHERE w.state = 'active' AND w.leased_until <= $1
                   AND EXISTS (SELECT FROM webhook_deliveries AS d
                               WHERE d.webhook = w.id AND d.next_at <= $1)
                 ORDER BY w.leased_until LIMIT $3 FOR UPDATE SKIP LOCKED)
    RETURNING id
"""
# A statement of its own, as another may have settled what the one before had seen due.
_DUE = """
    SELECT w.id AS webhook, w.url, d.tries, d.begun_at, w.leased_until,
           e.id, e.type, e.at, e.sequence, e.content,
           (SELECT array_agg(s.secret ORDER BY s.number DESC) FROM webhook_secrets AS s
            WHERE s.webhook = w.id AND (s.until IS NULL OR s.until > $2)) AS secrets
    FROM webhooks AS w
    JOIN LATERAL (SELECT x.* FROM webhook_deliveries AS x
                  JOIN events AS y ON y.id = x.event
                  WHERE x.webhook = w.id AND x.next_at <= $2
                  ORDER BY x.next_at, y.sequence LIMIT 1) AS d ON true
    JOIN events AS e ON e.id = d.event
    WHERE w.id = ANY ($1::uuid[])
"""
_LET_GO = "UPDATE webhooks SET leased_until = $3 WHERE id = $1 AND leased_until = $2"
_DISABLE = """
    UPDATE webhooks SET state = 'disabled', reason = $2, changed_at = $3
    WHERE id = $1 AND state = 'active'
"""
_HOLD_WEBHOOK = "SELECT FROM webhooks WHERE id = $1 FOR UPDATE"
_ATTEMPTED = """
    INSERT INTO webhook_attempts (webhook, event, number, at, outcome, status)
    SELECT d.webhook, d.event,
           1 + (SELECT count(*) FROM webhook_attempts AS a
                WHERE a.webhook = d.webhook AND a.event = d.event), $3, $4, $5
    FROM webhook_deliveries AS d WHERE d.webhook = $1 AND d.event = $2
"""
# One that was asked for anew meanwhile stays due.
_SETTLE = """
    UPDATE webhook_deliveries SET state = $4, tries = tries + 1, next_at = $5
    WHERE webhook = $1 AND event = $2 AND begun_at = $3 AND state = 'due'
"""
_DELIVERIES = """
    SELECT d.event, e.type, e.sequence, d.state, d.next_at,
           coalesce((SELECT json_agg(json_build_array(a.at, a.outcome, a.status)
                                     ORDER BY a.number)
                     FROM webhook_attempts AS a
                     WHERE a.webhook = d.webhook AND a.event = d.event), '[]') AS attempts
    FROM webhook_deliveries AS d JOIN events AS e ON e.id = d.event
    WHERE d.webhook = $1 AND ($2::bigint IS NULL OR e.sequence < $2)
    ORDER BY e.sequence DESC LIMIT $3
"""
_DISABLED = "SELECT reason, count(*) FROM webhooks WHERE state = 'disabled' GROUP BY reason"
_WAITING = """
    SELECT count(*), min(d.begun_at) FROM webhook_deliveries AS d
    JOIN webhooks AS w ON w.id = d.webhook
    WHERE d.next_at IS NOT NULL AND w.state = 'active'
"""


async def find_recipient(conn: Any, recipient: str) -> int | None:
    """A recipient's number by its id."""
    number: int | None = await conn.fetchval(_RECIPIENT, recipient)
    return number


async def add_events(
    conn: Any, at: datetime, ids: Sequence[UUID], events: Sequence[NewEvent]
) -> None:
    """Write what recipients are to be told, in the transaction of what it tells of."""
    await conn.execute(
        _ADD_EVENTS,
        at,
        ids,
        [one.recipient for one in events],
        [one.type for one in events],
        [orjson.dumps(one.content).decode() for one in events],
        [one.webhook for one in events],
    )


async def unpublished(conn: Any) -> bool:
    """Whether any event that is committed has no sequence yet."""
    found: bool = await conn.fetchval(_UNPUBLISHED)
    return found


async def publish(conn: Any, at: datetime, limit: int) -> int:
    """Number events and make their deliveries; how many. None while another does.

    In a transaction whose statements see what is committed as each begins.
    """
    if not await conn.fetchval(_TRY_LOCK):
        return 0
    count: int = await conn.fetchval(_PUBLISH, limit, at)
    return count


async def events_after(conn: Any, recipient: int, sequence: int, limit: int) -> list[EventRow]:
    """A recipient's events after a sequence, in their order."""
    return [
        EventRow(*row.values()) for row in await conn.fetch(_EVENTS, recipient, sequence, limit)
    ]


async def find_event(conn: Any, event: UUID) -> tuple[EventRow, str] | None:
    """A published event and its recipient's id."""
    row = await conn.fetchrow(_EVENT, event)
    return None if row is None else (EventRow(*row[:5]), row["recipient"])


async def of_recipient(conn: Any, recipient: int) -> list[WebhookRow]:
    """A recipient's webhooks by name."""
    return [WebhookRow(*row.values()) for row in await conn.fetch(_OF_RECIPIENT, recipient)]


async def find(conn: Any, recipient: int, name: str) -> WebhookRow | None:
    """A recipient's webhook by its name."""
    row = await conn.fetchrow(_NAMED, recipient, name)
    return None if row is None else WebhookRow(*row.values())


async def hold(conn: Any, recipient: int) -> None:
    """Nobody else sets this recipient's webhooks until the commit."""
    await conn.execute(_HOLD, recipient)


async def set_webhook(
    conn: Any,
    id_: UUID,
    recipient: int,
    name: str,
    url: str,
    types: Sequence[str],
    state: str,
    at: datetime,
    caller: int,
) -> UUID:
    """Make a webhook with this id, or change the one that has the name; its id."""
    found: UUID = await conn.fetchval(_SET, id_, recipient, name, url, types, state, at, caller)
    return found


async def resume(conn: Any, webhook: UUID, at: datetime) -> None:
    """Let what waits for a webhook be due now, with its days before it."""
    await conn.execute(_RESUME, webhook, at)


async def remove(conn: Any, recipient: int, name: str) -> bool:
    """Remove a webhook with its secrets and deliveries; whether there was one."""
    removed: str = await conn.execute(_REMOVE, recipient, name)
    return removed == "DELETE 1"


async def secrets_of(conn: Any, webhook: UUID, now: datetime) -> list[SecretRow]:
    """The secrets that sign now, the newest first."""
    return [SecretRow(*row.values()) for row in await conn.fetch(_SECRETS, webhook, now)]


async def rotate(conn: Any, webhook: UUID, secret: bytes, now: datetime, until: datetime) -> None:
    """Let a secret sign from now on, and the one before it until `until`."""
    await conn.execute(_DROP_SECRETS, webhook, now)
    await conn.execute(_END_SECRETS, webhook, until)
    await conn.execute(_ADD_ANOTHER, webhook, secret)


async def redeliver(conn: Any, event: UUID, at: datetime) -> int:
    """Let an event be delivered anew to its recipient's webhooks; to how many."""
    told: str = await conn.execute(_REDELIVER, event, at)
    return int(told.rpartition(" ")[2])


async def take_due(conn: Any, now: datetime, until: datetime, limit: int) -> list[Due]:
    """One due delivery of each of some webhooks, which nobody else takes before `until`."""
    leased = [row["id"] for row in await conn.fetch(_LEASE, now, until, limit)]
    if not leased:
        return []
    return [
        Due(
            row["webhook"],
            row["url"],
            row["tries"],
            row["begun_at"],
            row["leased_until"],
            EventRow(row["id"], row["type"], row["at"], row["sequence"], row["content"]),
            row["secrets"] or [],
        )
        for row in await conn.fetch(_DUE, leased, now)
    ]


async def attempted(
    conn: Any,
    due: Due,
    at: datetime,
    outcome: str,
    status: int | None,
    state: str,
    next_at: datetime | None,
) -> None:
    """Keep what an attempt came to; a webhook that was removed meanwhile has none."""
    await conn.execute(_HOLD_WEBHOOK, due.webhook)
    await conn.execute(_ATTEMPTED, due.webhook, due.event.id, at, outcome, status)
    await conn.execute(_SETTLE, due.webhook, due.event.id, due.begun_at, state, next_at)


async def let_go(conn: Any, due: Due, until: datetime) -> None:
    """End a lease, unless it has passed to somebody else; nobody sends before `until`."""
    await conn.execute(_LET_GO, due.webhook, due.leased_until, until)


async def disable(conn: Any, webhook: UUID, reason: str, at: datetime) -> bool:
    """Send nothing more to a webhook; whether it was active."""
    disabled: str = await conn.execute(_DISABLE, webhook, reason, at)
    return disabled == "UPDATE 1"


async def deliveries(conn: Any, webhook: UUID, before: int | None, limit: int) -> list[DeliveryRow]:
    """A webhook's deliveries, the newest event first, below a sequence."""
    return [
        DeliveryRow(
            row["event"],
            row["type"],
            row["sequence"],
            row["state"],
            row["next_at"],
            [
                AttemptRow(datetime.fromisoformat(at), outcome, status)
                for at, outcome, status in orjson.loads(row["attempts"])
            ],
        )
        for row in await conn.fetch(_DELIVERIES, webhook, before, limit)
    ]


async def disabled(conn: Any) -> dict[str, int]:
    """How many webhooks are disabled, by reason."""
    return dict(await conn.fetch(_DISABLED))


async def waiting(conn: Any) -> tuple[int, datetime | None]:
    """How many deliveries wait for active webhooks, and since when the oldest does."""
    count, oldest = await conn.fetchrow(_WAITING)
    return count, oldest
