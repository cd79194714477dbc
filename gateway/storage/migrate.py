"""Numbered SQL files, applied in order, each in a database transaction of its own.

About a hundred lines of our own instead of dbmate: one binary less to ship and to trust, the same
connection and the same lock as the gateway, and a newer schema or an altered file is refused.
"""

import asyncio
import hashlib
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway.config import StartRefused
from gateway.storage import months
from gateway.storage.distribute import distribute, is_distributed
from gateway.storage.split_sql import statements

MIGRATIONS = Path(__file__).parent / "migrations"

# Any constant will do, as long as it stays: gateways of different versions must meet at it.
LOCK = 0x6B6F7065636B
_LOCK_WAIT_S = 60.0
_LOCK_POLL_S = 0.1
# Whoever pays queues behind a migration that waits for a table: rather often than long.
_TABLE_WAIT = "2s"
_TRIES = 15
_AGAIN_S = 0.5
_ON_CITUS = """
    SET LOCAL citus.multi_shard_modify_mode TO 'sequential';
    SET LOCAL citus.enable_unsafe_triggers TO on
"""

_FILE_NAME = re.compile(r"([0-9]{4})_([a-z0-9_]+)\.sql", re.ASCII)

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class SchemaNewer(StartRefused):
    """The database was migrated by a newer gateway; this one might misread it."""


class SchemaAltered(StartRefused):
    """An applied file has changed since, so nobody knows what the schema is."""


@dataclass(frozen=True)
class Migration:
    """One file: `sha256` is of its bytes, `sql` is run as it stands."""

    number: int
    name: str
    sha256: bytes
    sql: str


def migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """All files of `directory` in order; their numbers are 1, 2, 3 … without a gap."""
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise StartRefused(f"Expected a migration named NNNN_name.sql, was {path.name}")
        content = path.read_bytes()
        digest = hashlib.sha256(content).digest()
        found.append(Migration(int(match[1]), match[2], digest, content.decode()))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise StartRefused(f"Expected migrations numbered 1..{len(found)}, was {numbers}")
    return found


async def migrate(
    conn: asyncpg.Connection, directory: Path = MIGRATIONS, lock_wait_s: float = _LOCK_WAIT_S
) -> list[str]:
    """Brings the schema up to the code and returns the names of the files applied now.

    Raises SchemaNewer, SchemaAltered, or StartRefused when another gateway holds the lock for
    longer than `lock_wait_s`. Any number of gateways may call it at once.
    """
    known = migrations(directory)
    await _take_lock(conn, lock_wait_s)
    try:
        await conn.execute(_TABLE)
        applied = await _applied(conn)
        _check(known, applied)
        fresh = [migration for migration in known if migration.number not in applied]
        for migration in fresh:
            await _apply(conn, migration)
        if fresh and await is_distributed(conn):
            # What a migration made has to be placed, and what is written anew for Citus stays so.
            await distribute(conn)
        await _make_months(conn, directory)
        return [f"{migration.number:04}_{migration.name}" for migration in fresh]
    finally:
        await _let_go(conn)


async def migrate_distributed(
    conn: asyncpg.Connection, lock_wait_s: float = _LOCK_WAIT_S
) -> list[str]:
    """As `migrate`, and spreads the schema over the nodes of Citus: the files applied and the
    tables placed now. No gateway of this database may run meanwhile.
    """
    applied = await migrate(conn, lock_wait_s=lock_wait_s)
    await _take_lock(conn, lock_wait_s)
    try:
        return applied + await distribute(conn)
    finally:
        await _let_go(conn)


async def _make_months(conn: asyncpg.Connection, directory: Path) -> None:
    """What a gateway that runs makes by and by is there from the start."""
    if directory != MIGRATIONS:
        return
    # What is in the way holds nothing up but this, and the gateway tries again.
    with suppress(asyncpg.CheckViolationError):
        await months.make(conn)


async def _let_go(conn: asyncpg.Connection) -> None:
    # A lost connection has freed the lock, and its own failure must not be hidden.
    if not conn.is_closed():
        await conn.fetchval("SELECT pg_advisory_unlock($1)", LOCK)


async def current(conn: asyncpg.Connection, directory: Path = MIGRATIONS) -> bool:
    """Whether the schema is exactly the code's; changes nothing."""
    if await conn.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return False
    applied = await _applied(conn)
    return applied == {migration.number: migration.sha256 for migration in migrations(directory)}


async def assert_current(conn: asyncpg.Connection) -> None:
    """Raises StartRefused for a command that reads what only this version's schema has."""
    if not await current(conn):
        raise StartRefused(
            "Expected a database of this version of the schema, was another: "
            "run kopeck migrate, or a newer kopeck where the schema is newer"
        )


async def sufficient(conn: asyncpg.Connection, directory: Path = MIGRATIONS) -> bool:
    """Whether all that the code needs is applied, for readiness; changes nothing.

    What a newer gateway added is no harm to one that runs already: migrations only add.
    """
    if await conn.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return False
    applied = await _applied(conn)
    return all(applied.get(one.number) == one.sha256 for one in migrations(directory))


async def _take_lock(conn: asyncpg.Connection, wait_s: float) -> None:
    """Polls instead of waiting inside pg_advisory_lock: a waiting statement holds a snapshot, and a
    migration that builds an index concurrently would wait for that snapshot: a deadlock."""
    deadline = time.monotonic() + wait_s
    while not await conn.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
        if time.monotonic() >= deadline:
            raise StartRefused(
                f"Expected the migration lock within {wait_s:g} s, was held by another gateway"
            )
        await asyncio.sleep(_LOCK_POLL_S)


async def _applied(conn: asyncpg.Connection) -> dict[int, bytes]:
    rows = await conn.fetch("SELECT number, sha256 FROM schema_migrations")
    return {row["number"]: row["sha256"] for row in rows}


def _check(known: list[Migration], applied: dict[int, bytes]) -> None:
    newest = max(applied, default=0)
    if newest > len(known):
        raise SchemaNewer(
            f"Expected a schema up to {len(known):04}, was {newest:04}: "
            "the database belongs to a newer kopeck"
        )
    for migration in known:
        if applied.get(migration.number, migration.sha256) != migration.sha256:
            raise SchemaAltered(
                f"Expected migration {migration.number:04}_{migration.name} as it was applied, "
                "was another file"
            )


async def _apply(conn: asyncpg.Connection, migration: Migration) -> None:
    """One file and the note that it is applied, both or neither.

    Payers lock tables in another order than files change them: who loses a deadlock, or waits for
    too long, lets go of all it has and begins the file again. StartRefused after the last try.
    """
    for _ in range(_TRIES):
        try:
            await _apply_once(conn, migration)
        except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError):
            await asyncio.sleep(_AGAIN_S)
        else:
            return
    raise StartRefused(
        f"Expected the tables of migration {migration.number:04}_{migration.name} to be free for a "
        f"moment, were not in {_TRIES} tries: look for long transactions, and run it again"
    )


async def _apply_once(conn: asyncpg.Connection, migration: Migration) -> None:
    async with conn.transaction():
        await conn.execute(f"SET LOCAL lock_timeout = '{_TABLE_WAIT}'")
        if await is_distributed(conn):
            # Citus takes one change of a schema at a time, and triggers where it is told to.
            await conn.execute(_ON_CITUS)
            for statement in statements(migration.sql):
                await conn.execute(statement)
        else:
            await conn.execute(migration.sql)
        await conn.execute(
            "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.sha256,
        )
