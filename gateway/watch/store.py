"""SQL of watching: each statement is an index lookup or a look at the server's own counters."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

COUNTED: Final = ("commits", "rollbacks", "deadlocks", "blocks_read", "blocks_hit")

# What was placed or given back stays so: whoever keeps the id found begins there again.
_OLDEST_SUSPENSE = """
    SELECT p.id, p.accepted_at FROM payments AS p
    WHERE p.bill IS NULL AND p.id >= $1
      AND NOT EXISTS (SELECT FROM resolutions AS r WHERE r.payment = p.id)
      AND p.amount > (SELECT coalesce(sum(s.kopecks), 0) FROM from_suspense AS s
                      WHERE s.payment = p.id)
    ORDER BY p.id LIMIT 1
"""
# A batch of nobody's money may stay closed for ever.
_OLDEST_UNAPPROVED = """
    SELECT o.number, b.closed_at FROM (
        SELECT coalesce((SELECT min(number) FROM settlement_batches AS s
                         WHERE state = 'cut' OR state = 'closed' AND EXISTS (
                             SELECT FROM positions WHERE settlement_batch = s.number)),
                        (SELECT settlement_batch FROM cut)) AS number) AS o
    LEFT JOIN settlement_batches AS b ON b.number = o.number - 1
"""
_FIRST_PAYMENT = """
    SELECT accepted_at FROM payments
    WHERE id >= $1 AND settlement_batch >= $2 AND bill IS NOT NULL ORDER BY id LIMIT 1
"""
_FIRST_PLACED = "SELECT min(resolved_at) FROM resolutions WHERE settlement_batch >= $1"
_OLDEST_UNPAID = """
    SELECT min(approved_at) FROM settlement_batches AS b
    WHERE state IN ('approved', 'sent', 'partially_executed')
      AND EXISTS (SELECT FROM payouts AS p WHERE p.settlement_batch = b.number)
"""
# By positions alone, whatever made them: a debt is as old as the batch that began it.
_RECEIVABLE = """
    SELECT coalesce(-sum(p.carried_out), 0)::bigint
           - coalesce(sum((SELECT sum(d.amount) FROM debt_settlements AS d
                           WHERE d.recipient = p.recipient
                             AND d.settlement_batch > p.settlement_batch)), 0)::bigint AS kopecks,
           min((SELECT b.closed_at FROM settlement_batches AS b
                WHERE b.number = (SELECT max(q.settlement_batch) FROM positions AS q
                                  WHERE q.recipient = p.recipient AND q.carried_out < 0
                                    AND q.carried_in >= 0))) AS oldest
    FROM positions AS p
    WHERE p.carried_out < 0 AND p.settlement_batch =
          (SELECT max(number) FROM settlement_batches WHERE state <> 'cut')
"""
_HELD = """
    SELECT min(at) FROM restores AS r
    WHERE NOT EXISTS (SELECT FROM lifted_restores AS l WHERE l.restore = r.id)
"""
# Ids are made in the order of time.
_LAST_STATEMENT = "SELECT taken_at FROM bank_statements ORDER BY id DESC LIMIT 1"
_SERVER = """
    SELECT clock_timestamp() AS now,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
               AS connections,
           current_setting('max_connections')::integer AS connections_max,
           pg_database_size(d.datid) AS size,
           (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0)::float8
            FROM pg_stat_activity WHERE backend_type = 'client backend') AS longest,
           (SELECT age(datfrozenxid) FROM pg_database WHERE oid = d.datid) AS freeze_age,
           d.xact_commit AS commits, d.xact_rollback AS rollbacks, d.deadlocks,
           d.blks_read AS blocks_read, d.blks_hit AS blocks_hit
    FROM pg_stat_database AS d WHERE d.datname = current_database()
"""
# A backup in progress looks like a replica and is none.
_REPLICATION = """
    SELECT count(*) AS replicas,
           max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint AS bytes
    FROM pg_stat_replication
    WHERE application_name <> 'pg_basebackup' AND coalesce(state, '') <> 'backup'
"""


async def oldest_suspense(conn: Any, since: UUID) -> Any:
    """id and accepted_at of the oldest money in suspense from `since` on; None where none is."""
    return await conn.fetchrow(_OLDEST_SUSPENSE, since)


async def oldest_unapproved(conn: Any) -> tuple[int, datetime | None]:
    """The oldest batch that nobody approved, and when the one before it was cut."""
    row = await conn.fetchrow(_OLDEST_UNAPPROVED)
    return row["number"], row["closed_at"]


async def first_money(conn: Any, number: int, since: UUID) -> datetime | None:
    """When the first money of this batch, or of one after it, was split among recipients."""
    moments = (
        await conn.fetchval(_FIRST_PAYMENT, since, number),
        await conn.fetchval(_FIRST_PLACED, number),
    )
    return min((moment for moment in moments if moment is not None), default=None)


async def oldest_unpaid(conn: Any) -> datetime | None:
    """When the oldest batch was approved whose payouts the bank has not carried out."""
    found: datetime | None = await conn.fetchval(_OLDEST_UNPAID)
    return found


async def last_statement(conn: Any) -> datetime | None:
    """When the bank's last statement was taken."""
    found: datetime | None = await conn.fetchval(_LAST_STATEMENT)
    return found


async def held_since(conn: Any) -> datetime | None:
    """Since when a restore holds settlement that nobody has lifted."""
    found: datetime | None = await conn.fetchval(_HELD)
    return found


async def receivable(conn: Any) -> tuple[int, datetime | None]:
    """Kopecks that recipients owe, and when the oldest of their debts began."""
    row = await conn.fetchrow(_RECEIVABLE)
    return row["kopecks"], row["oldest"]


async def server(conn: Any) -> Any:
    """The server's time and what it says of itself."""
    return await conn.fetchrow(_SERVER)


async def replication(conn: Any) -> Any:
    """How many replicas there are, and bytes of the log that the slowest has not replayed.

    The bytes are None without replicas and where the role is no member of pg_monitor.
    """
    return await conn.fetchrow(_REPLICATION)
