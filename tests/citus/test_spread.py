"""A schema spread over Citus: what the catalogue says, what is locked, and that a key pays once.

These need Citus and its nodes: KOPECK_TEST_CITUS_URL is an empty database of a coordinator.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from gateway.config import StartRefused
from gateway.domain.ids import earliest, new_id
from gateway.journal.db_transaction import CUT_LOCK
from gateway.storage import months
from gateway.storage.distribute import is_distributed
from gateway.storage.migrate import MIGRATIONS, migrate, migrate_distributed, migrations
from gateway.storage.placement import PLACES, Kind
from gateway.storage.postgres import assert_durable

_SPREAD = """
    SELECT c.relname AS table, p.partmethod::text AS method, p.repmodel::text AS copies,
           p.colocationid,
           CASE WHEN p.partmethod = 'h'
                THEN column_to_column_name(p.logicalrelid, p.partkey) END AS column
    FROM pg_dist_partition AS p JOIN pg_class AS c ON c.oid = p.logicalrelid
    WHERE c.relispartition = $1
"""
_KINDS = {("h", "s"): Kind.SPREAD, ("n", "t"): Kind.EVERYWHERE, ("n", "s"): Kind.COORDINATOR}
_BEGIN_GROUP = "SELECT * FROM begin_group($1, $2, $3, $4, $5, $6, $7)"
_COMMIT = "SELECT commit_new($1, 0, $2, $3, 0)"
_REPEATED = "SELECT commit_but_repeated($1, 0, $2, $3, '{}')"
_ACCOUNTS = [str(number) for number in range(100_000, 100_024)]


@pytest.fixture
async def connections(citus: object, database_url: str) -> AsyncIterator[list[asyncpg.Connection]]:
    if citus is None:
        pytest.skip("KOPECK_TEST_CITUS_URL names no database of Citus")
    opened = [await asyncpg.connect(database_url) for _ in range(4)]
    for one in opened:
        await one.execute("SET lock_timeout = '20s'")
    yield opened
    for one in opened:
        await one.close()


def suspended(key: str, account: str) -> tuple[Any, ...]:
    """A payment that no bill is there for, as commit_but_repeated takes it."""
    return (
        *(new_id(), 1, 0, key, bytes(16), account, None, 100, 0, 0),
        *(None, None, None, 0, None, None, "{}", None, None),
    )


def as_new(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row, None, None)


async def paid(conn: asyncpg.Connection) -> list[UUID]:
    return [row["id"] for row in await conn.fetch("SELECT id FROM payments ORDER BY id")]


async def test_the_catalogue_is_what_was_said(connections: list[asyncpg.Connection]) -> None:
    found = {row["table"]: row for row in await connections[0].fetch(_SPREAD, False)}
    kinds = {name: _KINDS[row["method"], row["copies"]] for name, row in found.items()}
    assert kinds == {name: one.kind for name, one in PLACES.items()}
    for name, one in PLACES.items():
        if one.kind is Kind.SPREAD:
            assert found[name]["column"] == one.column
            beside = one.beside or name
            assert found[name]["colocationid"] == found[beside]["colocationid"]
    assert found["idempotency_keys"]["colocationid"] != found["payments"]["colocationid"]


async def test_a_later_version_changes_what_is_spread(
    connections: list[asyncpg.Connection], tmp_path: Path
) -> None:
    """Triggers and columns of tables that have copies, several to a file."""
    conn = connections[0]
    for path in MIGRATIONS.glob("*.sql"):
        shutil.copy(path, tmp_path)
    number = len(migrations()) + 1
    (tmp_path / f"{number:04}_later.sql").write_text("""
        -- One; of two.
        CREATE TRIGGER callers_stay BEFORE DELETE ON callers
            FOR EACH ROW EXECUTE FUNCTION refuse_change();
        ALTER TABLE callers ADD COLUMN remark text;
        ALTER TABLE positions ADD COLUMN remark text;
    """)
    try:
        assert await migrate(conn, tmp_path) == [f"{number:04}_later"]
        await conn.execute("INSERT INTO callers (name, role, remark) VALUES ('x', 'auditor', 'y')")
        with pytest.raises(asyncpg.RaiseError, match="only ever added"):
            await conn.execute("DELETE FROM callers WHERE name = 'x'")
    finally:
        for undo in (
            "SET citus.enable_unsafe_triggers TO on",
            "DROP TRIGGER IF EXISTS callers_stay ON callers",
            "ALTER TABLE callers DROP COLUMN IF EXISTS remark",
            "ALTER TABLE positions DROP COLUMN IF EXISTS remark",
        ):
            await conn.execute(undo)
        await conn.execute("DELETE FROM schema_migrations WHERE number = $1", number)


async def test_months_of_payments_are_spread_beside_them(
    connections: list[asyncpg.Connection],
) -> None:
    conn = connections[0]
    until = await months.until(conn)
    assert await months.make(conn, until)
    months_now = {row["table"]: row for row in await conn.fetch(_SPREAD, True)}
    assert {"payments_first", "payments_other", f"payments_{until:%Y_%m}"} < set(months_now)
    (beside,) = {row["colocationid"] for row in months_now.values()}
    spread = {row["table"]: row for row in await conn.fetch(_SPREAD, False)}
    assert beside == spread["payments"]["colocationid"]
    # A month that was made now takes payments and gives none back, on each node.
    row = as_new((earliest(until), *suspended("new", "A")[1:]))
    await conn.execute(_COMMIT, CUT_LOCK, datetime.now(UTC), [row])
    assert await paid(conn) == [earliest(until)]
    with pytest.raises(asyncpg.RaiseError, match="only ever added"):
        await conn.execute("DELETE FROM payments")


async def test_migrating_again_changes_nothing(connections: list[asyncpg.Connection]) -> None:
    assert await is_distributed(connections[0])
    assert await migrate(connections[0]) == []
    assert await migrate_distributed(connections[0]) == []


async def test_rows_that_are_only_added_stay_so_on_each_node(
    connections: list[asyncpg.Connection],
) -> None:
    conn = connections[0]
    rows = [as_new(suspended(account, account)) for account in _ACCOUNTS]
    await conn.execute(_COMMIT, CUT_LOCK, datetime.now(UTC), rows)
    for account in _ACCOUNTS:
        with pytest.raises(asyncpg.RaiseError, match="only ever added"):
            await conn.execute("DELETE FROM payments WHERE subscriber_account = $1", account)
    assert len(await paid(conn)) == len(_ACCOUNTS)


async def test_groups_of_other_accounts_wait_for_nobody(
    connections: list[asyncpg.Connection],
) -> None:
    """Two groups over all shards, neither committed: no lock of a shard is between them."""
    first, second, *_ = connections
    for conn, name in ((first, "a"), (second, "b")):
        await conn.execute("SET lock_timeout = '5s'")
        await conn.execute("BEGIN")
        rows = [suspended(f"{name} {one}", f"{one}{name}") for one in _ACCOUNTS]
        await conn.execute(_COMMIT, CUT_LOCK, datetime.now(UTC), [as_new(one) for one in rows])
    for conn in (first, second):
        await conn.execute("COMMIT")
    assert len(await paid(first)) == 2 * len(_ACCOUNTS)


async def test_a_key_at_once_for_many_accounts_pays_once(
    connections: list[asyncpg.Connection],
) -> None:
    """The key is spread by itself, so that no shard of an account can take it a second time."""
    rows = [suspended("one key", account) for account in _ACCOUNTS[: len(connections)]]

    async def pay(conn: asyncpg.Connection, row: tuple[Any, ...]) -> bool:
        try:
            await conn.execute(_COMMIT, CUT_LOCK, datetime.now(UTC), [as_new(row)])
        except asyncpg.UniqueViolationError:
            return False
        return True

    for _ in range(8):
        done = await asyncio.gather(*map(pay, connections, rows))
        assert sum(done) <= 1
    assert len(await paid(connections[0])) == 1


async def test_repeated_keys_are_left_out_and_told(connections: list[asyncpg.Connection]) -> None:
    conn = connections[0]
    rows = [suspended(account, account) for account in _ACCOUNTS]
    assert await conn.fetchval(_REPEATED, CUT_LOCK, datetime.now(UTC), rows[:8]) is None
    left_out = await conn.fetchval(_REPEATED, CUT_LOCK, datetime.now(UTC), rows)
    assert sorted(left_out) == sorted(row[0] for row in rows[:8])
    assert await paid(conn) == sorted(row[0] for row in rows)


async def test_a_group_is_told_how_many_keys_were_new(
    connections: list[asyncpg.Connection],
) -> None:
    conn = connections[0]
    first = [new_id() for _ in range(2)]
    again = [new_id() for _ in range(3)]

    async def claimed(keys: list[str], ids: list[UUID]) -> tuple[int, list[UUID]]:
        n = len(keys)
        await conn.execute("BEGIN")
        rows = await conn.fetch(
            _BEGIN_GROUP, CUT_LOCK, [1] * n, [0] * n, keys, [bytes(16)] * n, ["none"] * n, ids
        )
        before = await conn.fetch("SELECT * FROM claims_before($1, $2)", [1] * n, keys)
        await conn.execute("COMMIT")
        return rows[0]["claimed"], sorted(row["resource"] for row in before)

    assert await claimed(["x", "y"], first) == (2, [])
    assert await claimed(["x", "y", "z"], again) == (1, sorted(first))


async def test_nothing_is_counted_while_a_node_has_commits_to_finish(
    connections: list[asyncpg.Connection],
) -> None:
    await connections[0].execute("SELECT all_is_seen()")


async def test_a_gateway_asks_the_coordinator_alone(
    connections: list[asyncpg.Connection], database_url: str
) -> None:
    nodes = await connections[0].fetch(
        "SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0"
    )
    if not nodes:
        pytest.skip("the coordinator has no worker")
    given = urlsplit(database_url)
    user = given.netloc.rpartition("@")[0]
    where = f"{nodes[0]['nodename']}:{nodes[0]['nodeport']}"
    worker = given._replace(netloc=f"{user}@{where}" if user else where).geturl()
    conn = await asyncpg.connect(worker)
    try:
        with pytest.raises(StartRefused, match="coordinator"):
            await assert_durable(conn)
    finally:
        await conn.close()
