"""What is spread over nodes can be: by the catalogue of a migrated schema alone, without Citus."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.storage.placement import ACCOUNT, PLACES, Kind, Place

_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
      AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.objid = oid AND e.deptype = 'e')
"""
# Every unique index, be it of a key, of a constraint or made by itself, and its columns.
_UNIQUE = """
    SELECT t.relname AS table, c.relname AS index,
           array(SELECT a.attname::text FROM pg_attribute AS a
                 WHERE a.attrelid = t.oid AND a.attnum = ANY (i.indkey)) AS columns
    FROM pg_index AS i
    JOIN pg_class AS t ON t.oid = i.indrelid
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indisunique AND t.relnamespace = 'public'::regnamespace
"""
_FOREIGN = """
    SELECT t.relname AS from_table, r.relname AS to_table
    FROM pg_constraint AS f
    JOIN pg_class AS t ON t.oid = f.conrelid
    JOIN pg_class AS r ON r.oid = f.confrelid
    WHERE f.contype = 'f' AND t.relnamespace = 'public'::regnamespace
      AND NOT r.relispartition AND NOT t.relispartition
"""
_COLUMN = """
    SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
    WHERE a.attrelid = $1::text::regclass AND a.attname = $2 AND NOT a.attisdropped
"""
# What a payment adds a row to, by the journal itself.
GROWING = {"payments", "bills", "open_bills", "idempotency_keys", "wallet_tokens"}


async def wrong(conn: asyncpg.Connection, places: dict[str, Place]) -> list[str]:
    """What of `places` the catalogue speaks against."""
    tables = {row["relname"] for row in await conn.fetch(_TABLES)}
    found = [f"{name} has no place" for name in tables - places.keys()]
    found += [f"{name} is no table" for name in places.keys() - tables]
    spread = {name: one for name, one in places.items() if one.kind is Kind.SPREAD}
    keyed = set()
    for row in await conn.fetch(_UNIQUE):
        one = spread.get(row["table"])
        if one is None:
            continue
        keyed.add(row["table"])
        if one.column not in row["columns"]:
            found.append(f"{row['index']} has no {one.column}")
    found += [f"{name} has no key" for name in spread.keys() - keyed]
    for name, one in spread.items():
        kind = await conn.fetchval(_COLUMN, name, one.column)
        if kind is None:
            found.append(f"{name} has no column {one.column}")
        elif one.beside is not None:
            beside = spread.get(one.beside)
            if beside is None or beside.column is None:
                found.append(f"{name} is beside {one.beside}, which is not spread")
            elif kind != await conn.fetchval(_COLUMN, one.beside, beside.column):
                found.append(f"{name} is spread by another type than {one.beside}")
    for row in await conn.fetch(_FOREIGN):
        target = places[row["to_table"]].kind
        if target is Kind.SPREAD or (
            target is Kind.COORDINATOR and places[row["from_table"]].kind is Kind.SPREAD
        ):
            found.append(f"{row['from_table']} refers to {row['to_table']}, which is elsewhere")
    return sorted(found)


@pytest.fixture
async def conn(plain_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(plain_database_url)
    yield opened
    await opened.close()


async def test_each_table_has_a_place_and_each_key_its_column(conn: asyncpg.Connection) -> None:
    assert await wrong(conn, dict(PLACES)) == []


async def test_what_grows_with_payments_is_spread(conn: asyncpg.Connection) -> None:
    assert {name for name in GROWING if PLACES[name].kind is not Kind.SPREAD} == set()
    by_account = {name for name, one in PLACES.items() if one.column == ACCOUNT}
    assert {"payments", "bills", "open_bills"} <= by_account
    shards = {PLACES[name].beside or name for name in by_account}
    assert shards == {"open_bills"}, "a payment and its bill share a shard"


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("CREATE TABLE tolls (id uuid PRIMARY KEY)", "tolls has no place"),
        ("ALTER TABLE payments ADD CONSTRAINT one UNIQUE (id)", "one has no subscriber_account"),
        ("CREATE UNIQUE INDEX one ON bills (number)", "one has no subscriber_account"),
        ("CREATE UNIQUE INDEX one ON idempotency_keys (resource)", "one has no key"),
        (
            "ALTER TABLE wallet_tokens DROP CONSTRAINT wallet_tokens_pkey",
            "wallet_tokens has no key",
        ),
        (
            "ALTER TABLE reported_payments ADD FOREIGN KEY (payment, subscriber_account)"
            " REFERENCES payments",
            "reported_payments refers to payments, which is elsewhere",
        ),
    ],
)
async def test_a_schema_that_could_not_be_spread_is_told(
    conn: asyncpg.Connection, statement: str, told: str
) -> None:
    await conn.execute(statement)
    assert told in await wrong(conn, dict(PLACES))
