"""Statements that are kept prepared: asked once, and never of tables as they were."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from gateway.storage.prepared import Prepared

ONE = "SELECT $1::int + 1"
THINGS = "SELECT * FROM prepared_things ORDER BY number"
OTHER = "SELECT 2"
_READY = "SELECT statement FROM pg_prepared_statements WHERE statement = ANY ($1::text[])"


@asynccontextmanager
async def kept(database_url: str) -> AsyncIterator[tuple[Prepared, Any]]:
    """A connection of a pool with ONE and THINGS kept prepared, and the connection itself."""
    async with (
        asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool,
        pool.acquire() as conn,
    ):
        yield Prepared(conn, frozenset({ONE, THINGS})), conn


async def test_what_is_named_is_prepared_once_and_all_else_is_the_connections(
    database_url: str,
) -> None:
    async with kept(database_url) as (prepared, conn):
        assert [await prepared.fetchval(ONE, number) for number in range(3)] == [1, 2, 3]
        assert [row[0] for row in await prepared.fetch(ONE, 7)] == [8]
        assert await prepared.fetchval(OTHER) == 2
        assert await prepared.fetchrow(OTHER) == (2,)
        assert prepared.get_server_pid() == conn.get_server_pid()
        assert [row[0] for row in await conn.fetch(_READY, [ONE])] == [ONE]


async def test_a_table_that_a_migration_changed_is_read_as_it_is_now(database_url: str) -> None:
    """asyncpg's own fetch finds that out by itself; a statement that is kept has to be told."""
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute("CREATE TABLE prepared_things (number int)")
        await owner.execute("INSERT INTO prepared_things VALUES (1), (2)")
        async with kept(database_url) as (prepared, _):
            assert [tuple(row) for row in await prepared.fetch(THINGS)] == [(1,), (2,)]
            await owner.execute("ALTER TABLE prepared_things ADD name text DEFAULT 'a'")
            assert [tuple(row) for row in await prepared.fetch(THINGS)] == [(1, "a"), (2, "a")]
            await owner.execute("ALTER TABLE prepared_things ALTER number TYPE text")
            assert await prepared.fetchval(THINGS) == "1"
            assert await prepared.fetchval(THINGS) == "1"
    finally:
        await owner.execute("DROP TABLE IF EXISTS prepared_things")
        await owner.close()


async def test_a_deadline_and_a_refusal_are_the_same_as_the_connections(database_url: str) -> None:
    slow, wrong = "SELECT pg_sleep(60)", "SELECT 1 / $1::int"
    async with (
        asyncpg.create_pool(database_url, min_size=1, max_size=1, command_timeout=0.2) as pool,
        pool.acquire() as conn,
    ):
        prepared = Prepared(conn, frozenset({slow, wrong}))
        with pytest.raises(TimeoutError):
            await prepared.fetchval(slow)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await prepared.fetchval(wrong, 0)
        assert await prepared.fetchval(wrong, 1) == 1


async def test_a_connection_that_is_gone_is_an_error_of_the_interface_or_the_wire(
    database_url: str,
) -> None:
    """Which is to be found out, and never a refusal: `to_be_found_out` knows both."""
    async with kept(database_url) as (prepared, conn):
        assert await prepared.fetchval(ONE, 1) == 2
        conn.terminate()
        with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresConnectionError)):
            await prepared.fetchval(ONE, 1)
