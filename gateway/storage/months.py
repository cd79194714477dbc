"""The months that payments are partitioned by, made before they begin.

An id begins with its moment, so a month is a range of ids. Payments are taken whether their month
is there or not: what has none goes to `payments_other`, which becomes a month of its own later.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

AHEAD: Final = 2
"""How many months after the present one are there, once `make` has run."""

# Any constant will do, as long as it stays: gateways meet at it.
_LOCK: Final = 0x6B6F7065636C
# A new month changes what payments_other may hold; whoever reads all months waits behind that.
# Spread over nodes a month has its trigger on each; elsewhere that setting is nobody's.
_WAIT: Final = (
    "SET LOCAL lock_timeout = '200ms'; SET LOCAL citus.enable_unsafe_triggers TO on;"
    "SET LOCAL citus.multi_shard_modify_mode TO sequential"
)
_AT_ONCE: Final = 120
_UPPER = re.compile(r"TO \('([0-9a-f-]{36})'\)")
_BOUNDS = """
    SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'payments'::regclass
"""
_RENAME_INDEXES = """
    SELECT format('ALTER INDEX %I RENAME TO %I', c.relname,
                  replace(c.relname, 'payments_other', $1::text)) AS statement
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = 'payments_other'::regclass
"""
# Each makes a statement, of names and ids that are ours.
_LIKE = "SELECT format('CREATE TABLE %I (LIKE payments INCLUDING ALL EXCLUDING INDEXES)', $1::text)"
_DROP = "ALTER TABLE payments_other DROP CONSTRAINT IF EXISTS in_months"
_LOOK_THROUGH = "ALTER TABLE payments_other VALIDATE CONSTRAINT in_months"
_LOOK_THROUGH_S: Final = 3_600.0
_ATTACH = """
    SELECT format('ALTER TABLE payments ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                  $1::text, $2::uuid, $3::uuid)
"""
_HOLD = """
    SELECT format('ALTER TABLE payments_other ADD CONSTRAINT in_months'
                  ' CHECK (id >= %L::uuid AND id < %L::uuid) NOT VALID', $1::uuid, $2::uuid)
"""
_RENAME = "SELECT format('ALTER TABLE payments_other RENAME TO %I', $1::text)"
_LET_GO = "SELECT format('ALTER TABLE %I DROP CONSTRAINT in_months', $1::text)"


async def make(conn: Any, now: datetime | None = None) -> bool:
    """Makes the months that are to be there by now, each in a transaction of its own; whether they
    all are there. By the database's clock: one of a gateway may be years ahead.

    Payers go on. Where another is about it, or somebody reads all months for long, what is left is
    for the next time. CheckViolationError where payments of a clock far ahead are in the way.
    """
    now = await conn.fetchval("SELECT now()") if now is None else now
    goal = _after(now, AHEAD + 1)
    with suppress(asyncpg.LockNotAvailableError):
        for _ in range(_AT_ONCE):
            if await until(conn) >= goal:
                return True
            try:
                done = await _make_next(conn)
            except asyncpg.CheckViolationError:
                done = await _name_other(conn, _after(now, AHEAD))
            if not done:
                break
    return False


async def until(conn: Any) -> datetime:
    """Where the newest month ends; what is paid after that lies in no month yet."""
    uppers = [_UPPER.search(row["bound"]) for row in await conn.fetch(_BOUNDS)]
    newest = max(match[1] for match in uppers if match is not None)
    return datetime.fromtimestamp((UUID(newest).int >> 80) / 1000, UTC)


async def _make_next(conn: Any) -> bool:
    """The month after the newest; False where somebody else is at it.

    CheckViolationError where payments_other has payments of that month.
    """
    async with conn.transaction():
        if not await _alone(conn):
            return False
        begins = await until(conn)
        name = _name(begins)
        await _run(conn, _LIKE, name)
        await _run(conn, _ATTACH, name, _first_id(begins), _first_id(_after(begins, 1)))
        return True


async def _name_other(conn: Any, end: datetime) -> bool:
    """Makes payments_other the partition of what it holds, up to `end`, and a new one for it.

    Its rows are looked through beforehand, while payers go on. CheckViolationError where it has
    payments from beyond `end`, as of a clock far ahead: then it stays as it is.
    """
    async with conn.transaction():
        if not await _alone(conn):
            return False
        begins = await until(conn)
        bounds = _first_id(begins), _first_id(end)
        await conn.execute(_DROP)
        await _run(conn, _HOLD, *bounds)
    try:
        await conn.execute(_LOOK_THROUGH, timeout=_LOOK_THROUGH_S)
        return await _swap_other(conn, _name(begins), bounds)
    except Exception:
        # It would refuse payments of a clock ahead; where it cannot go now, the next time begins
        # with that.
        with suppress(asyncpg.LockNotAvailableError):
            async with conn.transaction():
                await _alone(conn)
                await conn.execute(_DROP)
        raise


async def _swap_other(conn: Any, name: str, bounds: tuple[UUID, UUID]) -> bool:
    async with conn.transaction():
        if not await _alone(conn):
            return False
        await conn.execute("ALTER TABLE payments DETACH PARTITION payments_other")
        for row in await conn.fetch(_RENAME_INDEXES, name):
            await conn.execute(row["statement"])
        await _run(conn, _RENAME, name)
        await _run(conn, _ATTACH, name, *bounds)
        await _run(conn, _LET_GO, name)
        await _run(conn, _LIKE, "payments_other")
        await conn.execute("ALTER TABLE payments ATTACH PARTITION payments_other DEFAULT")
        return True


async def _run(conn: Any, made_by: str, *of: object) -> None:
    """Has the server put a statement together, and runs it."""
    statement = await conn.fetchval(made_by, *of)
    await conn.execute(statement)


async def _alone(conn: Any) -> bool:
    """Whether nobody else makes months until this transaction ends."""
    await conn.execute(_WAIT)
    got: bool = await conn.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK)
    return got


def _after(moment: datetime, months: int) -> datetime:
    """The start of the month so many after that of `moment`."""
    count = moment.year * 12 + moment.month - 1 + months
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def _name(begins: datetime) -> str:
    return f"payments_{begins:%Y_%m}"


def _first_id(moment: datetime) -> UUID:
    """The least id of a moment, of whatever version."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
