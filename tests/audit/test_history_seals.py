"""What stands in no batch's tree: whatever is done to a column of a row, the audit names the row.

Tables and columns are read from the catalogue, so that one that is added later cannot be forgotten.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from gateway.audit import report, store_history
from gateway.journal.db_transaction import sealing
from gateway.seals import store as seal_store
from gateway.seals import store_history as history
from gateway.storage import leaves
from gateway.storage.kept_rows import KEPT, OTHERWISE
from tests.audit import test_corruption
from tests.audit.test_corruption import free_hand

damaged = test_corruption.damaged

# A value of each type, and another.
VALUES = {
    "bigint": ("7", "8"),
    "integer": ("7", "8"),
    "smallint": ("7", "8"),
    "numeric": ("7", "8"),
    "boolean": ("true", "false"),
    "text": ("'one'", "'other'"),
    "uuid": ("'00000000-0000-7000-8000-000000000001'", "'00000000-0000-7000-8000-000000000002'"),
    "bytea": (r"'\x01'", r"'\x02'"),
    "json": ("'{}'", "'{\"a\":1}'"),
    "date": ("'2026-01-01'", "'2026-01-02'"),
    "time without time zone": ("'10:00'", "'11:00'"),
    "timestamp with time zone": ("'2026-01-01Z'", "'2026-01-01 00:00:00.000001Z'"),
    "text[]": ("'{a}'", "'{a,b}'"),
    "date[]": ("'{2026-01-01}'", "'{}'"),
}
# Of these the rest goes on changing by right, or is held to something else by another check.
SET_LATER = {
    *(("events", name) for name in ("number", "sequence")),
    *(("acquirer_reports", name) for name in ("matched", "created", "finished_at")),
    *(("recipients", name) for name in ("name", "kind", "inn", "kpp", "bic", "account")),
    *(("recipients", name) for name in ("correspondent_account", "set_at", "set_by", "bank_name")),
}
COLUMNS = """
    SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, NOT a.attnotnull AS may_be_null
    FROM pg_attribute AS a
    WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
TABLES = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
"""
KEYS = """
    SELECT a.attname FROM pg_index AS i
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = $1::text::regclass AND i.indisprimary
"""


async def seal_history(conn: asyncpg.Connection, batch: int | None = None) -> bool:
    async with sealing(conn):
        return await history.seal(conn, KEPT, batch, datetime.now(UTC))


async def problems(conn: asyncpg.Connection) -> list[tuple[str, str]]:
    async with conn.transaction():
        return [(check, row) async for check, row, _ in store_history.broken(conn)]


async def after(conn: asyncpg.Connection, *statements: str) -> list[tuple[str, str]]:
    """What is named after some damage, which is undone."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        for statement in statements:
            done = await conn.execute(statement)
            assert not done.endswith(" 0"), f"nothing was damaged by {statement}"
        return await problems(conn)
    finally:
        await transaction.rollback()


@pytest.fixture
async def kept(plain_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """One row in each table that is kept, sealed; nothing checks what they say."""
    conn = await asyncpg.connect(plain_database_url)
    await free_hand(conn)
    for table in KEPT:
        await conn.execute(f"DELETE FROM {table}")
        columns = await conn.fetch(COLUMNS, table)
        names = ", ".join(column["name"] for column in columns)
        values = ", ".join(f"{VALUES[column['type']][0]}" for column in columns)
        await conn.execute(
            f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})"
        )
        for column in columns:
            await conn.execute(
                f"ALTER TABLE {table} ALTER COLUMN {column['name']} DROP IDENTITY IF EXISTS"
            )
    assert await seal_history(conn)
    try:
        yield conn
    finally:
        await conn.close()


async def test_every_table_has_its_place(plain_database_url: str) -> None:
    conn = await asyncpg.connect(plain_database_url)
    try:
        tables = {table for (table,) in await conn.fetch(TABLES)}
        keys = {table: {key for (key,) in await conn.fetch(KEYS, table)} for table in KEPT}
    finally:
        await conn.close()
    places = [set(KEPT), set(leaves.TABLES.values()), set(OTHERWISE)]
    assert sum(map(len, places)) == len(set.union(*places)), "expected one place for each"

    lost = tables - set.union(*places)

    assert not lost, f"place these in storage/kept_rows.py: {sorted(lost)}"
    assert set.union(*places) <= tables
    for table, names in keys.items():
        assert set(KEPT[table].key.split(", ")) == names


async def test_each_column_is_covered(kept: asyncpg.Connection) -> None:
    assert await problems(kept) == []
    for table, how in KEPT.items():
        called = await kept.fetchval(f"SELECT ROW({how.key})::text FROM {table}")
        for column in await kept.fetch(COLUMNS, table):
            name = column["name"]
            for value in [VALUES[column["type"]][1], *["NULL"] * column["may_be_null"]]:
                found = await after(kept, f"UPDATE {table} SET {name} = {value}")
                named = {row for check, row in found if check in {"row_changed", "row_deleted"}}
                if (table, name) in SET_LATER:
                    assert not named, f"{table}.{name} is sealed and may change by right"
                else:
                    assert f"{table} {called}" in named, f"{table}.{name} = {value}: {found}"


async def test_how_a_session_writes_dates_changes_nothing(kept: asyncpg.Connection) -> None:
    await kept.execute("SET datestyle = 'German'")

    assert await problems(kept) == []
    assert not await seal_history(kept)


async def test_a_deleted_row_is_named(kept: asyncpg.Connection) -> None:
    for table, how in KEPT.items():
        called = await kept.fetchval(f"SELECT ROW({how.key})::text FROM {table}")

        assert ("row_deleted", f"{table} {called}") in await after(kept, f"DELETE FROM {table}")


async def test_a_row_with_its_hash_made_anew_breaks_the_root(kept: asyncpg.Connection) -> None:
    forged = "UPDATE history_rows SET hash = sha256('forged') WHERE of_table = 'acts'"
    gone = "DELETE FROM history_rows WHERE of_table = 'acts'"
    for statement in (forged, gone):
        assert ("seal_broken", "history seal 1") in await after(kept, statement)
    moved = await after(kept, "UPDATE history_rows SET seal = 2 WHERE of_table = 'acts'")
    assert ("seal_broken", "history seal 1") in moved
    assert ("seal_broken", "history seal 2") in moved


async def test_each_column_of_a_seal_is_covered(kept: asyncpg.Connection) -> None:
    for change in ("leaves = leaves + 1", "root = sha256('')", "settlement_batch = 9",
                   "chain = sha256('')", "number = 5", "after_seal = 3"):  # fmt: skip
        found = await after(kept, f"UPDATE history_seals SET {change}")
        assert "seal_chain_broken" in {check for check, _ in found}, change


async def test_what_comes_later_is_sealed_later_and_once(kept: asyncpg.Connection) -> None:
    assert not await seal_history(kept)
    values = await kept.fetchrow("SELECT * FROM acts")
    await kept.execute("INSERT INTO acts VALUES (8, 9, now(), $1)", values["content"])

    assert await seal_history(kept)

    told = await kept.fetch("SELECT number, leaves, settlement_batch FROM history_seals ORDER BY 1")
    assert [tuple(row) for row in told] == [(1, len(KEPT), None), (2, 1, None)]
    assert await problems(kept) == []
    assert ("row_changed", "acts (8,9)") in await after(
        kept, "UPDATE acts SET made_at = '2020-01-01Z' WHERE recipient = 9"
    )


async def test_a_day_of_a_batch_that_came_after_its_count_is_named(
    damaged: asyncpg.Connection,
) -> None:
    batch = await damaged.fetchval("SELECT min(settlement_batch) FROM history_seals")
    await seal_history(damaged)
    await free_hand(damaged)
    assert await problems(damaged) == []

    await damaged.execute(
        "INSERT INTO batch_days SELECT settlement_batch, business_day - 9, payments, amount,"
        " refunds, refunded FROM batch_days WHERE settlement_batch = $1 LIMIT 1",
        batch,
    )

    assert [check for check, _ in await problems(damaged)] == ["row_added"]
    await seal_history(damaged)
    assert [check for check, _ in await problems(damaged)] == ["row_added"]


async def test_a_batch_holds_the_history_before_it(damaged: asyncpg.Connection) -> None:
    todo = await seal_store.unsealed(damaged)
    for batch, stage in todo:
        if stage == "counted":
            await seal_history(damaged, batch)
        async with sealing(damaged):
            await seal_store.seal(damaged, batch, stage, datetime.now(UTC))
    await free_hand(damaged)
    assert (await report_of(damaged))["problems"] == []

    found = await damaged_report(damaged, "DELETE FROM history_rows", "DELETE FROM history_seals")

    assert {"check": "row_deleted", "row": "history seal 1"}.items() <= found[0].items()


async def report_of(conn: asyncpg.Connection) -> dict[str, Any]:
    async with conn.transaction():
        return await report.audit(conn)


async def damaged_report(conn: asyncpg.Connection, *statements: str) -> list[dict[str, str]]:
    for statement in statements:
        await conn.execute(statement)
    found: list[dict[str, str]] = (await report_of(conn))["problems"]
    return [one for one in found if one["check"] == "row_deleted"]
