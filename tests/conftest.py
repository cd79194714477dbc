"""Fixtures for real PostgreSQL: one server a test process, one fresh database a test.

`database_url` is a migrated, empty database of the test's own; `empty_database_url` has no tables
at all. The server is not durable, for speed: tests of durability start a server of their own.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import settings

from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.migrate import migrate, migrate_distributed
from gateway.storage.placement import PLACES

_TEMPLATE = "kopeck_template"
_FROM_OUTSIDE = ("api", "acquirers", "citus", "webhooks")
# Small, as several test processes share the machine; nothing else differs from the product.
_SETTINGS = {"shared_buffers": "64MB", "max_wal_size": "512MB", "min_wal_size": "32MB"}


# Gateways of tests are small and short: none needs 2 GB of log laid out.
os.environ.setdefault("KOPECK_LOG_AHEAD_MB", "0")

# An example may take as long as a busy machine makes it; pytest's own timeout ends what hangs.
# The same tree is judged by the same examples each time; `make fuzz` looks for new ones.
settings.register_profile("kopeck", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=2_000)
settings.load_profile("fuzz" if "KOPECK_TEST_EXAMPLES" in os.environ else "kopeck")


class DatabaseServer:
    """A server for tests, with one connection of its own to create and drop databases."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.postgres = postgres
        self._names = itertools.count(1)
        # pytest-asyncio's loops live as long as one test, so the connection has its own.
        self._loop = asyncio.new_event_loop()
        self._admin = self._wait(asyncpg.connect(self.url("postgres")))

    def url(self, database: str) -> str:
        return urlsplit(self.postgres.url)._replace(path=f"/{database}").geturl()

    def create(self, template: str = "template1") -> str:
        name = f"test_{next(self._names)}"
        self._wait(self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return name

    def drop(self, name: str) -> None:
        self._wait(self._admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

    def make_template(self) -> None:
        self._wait(self._admin.execute(f"CREATE DATABASE {_TEMPLATE}"))
        self._wait(self._migrate(self.url(_TEMPLATE)))

    def close(self) -> None:
        self._wait(self._admin.close())
        self._loop.close()

    def _wait(self, work: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(work)

    async def _migrate(self, url: str) -> None:
        conn = await asyncpg.connect(url)
        try:
            await migrate(conn)
        finally:
            await conn.close()


_SEQUENCES = """
    SELECT relname FROM pg_class
    WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
"""
_MARK = "kopeck: emptied by tests"
_CLOSE_S = 10


class CitusDatabase:
    """A database spread over Citus, given by its URL and emptied before each test.

    One test at a time has it, whatever processes there are; it was given empty, or by tests before.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._loop = asyncio.new_event_loop()
        self._wait(self._open())

    def close(self) -> None:
        self._loop.close()

    @contextmanager
    def emptied(self) -> Iterator[None]:
        # A test may end every session there is, so each begins with one of its own.
        conn = self._wait(asyncpg.connect(self.url))
        try:
            self._wait(conn.execute("SELECT pg_advisory_lock(1)"))
            self._wait(_take_rows_away(conn))
            yield
        finally:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                self._wait(conn.close(timeout=_CLOSE_S))

    def _wait(self, work: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(work)

    async def _open(self) -> None:
        # Few shards, as each test goes through all of them.
        conn = await asyncpg.connect(self.url, server_settings={"citus.shard_count": "4"})
        told = await conn.fetchval(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
            " WHERE datname = current_database()"
        )
        if told != _MARK and await conn.fetchval("SELECT to_regclass('schema_migrations')"):
            raise RuntimeError("Expected an empty database for tests, was one with a schema")
        name = await conn.fetchval("SELECT quote_ident(current_database())")
        await conn.execute("SELECT pg_advisory_lock(1)")
        await conn.execute(f"COMMENT ON DATABASE {name} IS '{_MARK}'")
        await migrate_distributed(conn)
        await conn.close()


async def _take_rows_away(conn: asyncpg.Connection) -> None:
    async with conn.transaction():
        # Rows that are only ever added are taken away too, and in any order, on each node.
        await conn.execute(
            "SET LOCAL citus.propagate_set_commands TO local;"
            "SET LOCAL session_replication_role TO replica"
        )
        for name in sorted(
            PLACES.keys() - {"schema_migrations", "report_forms", "report_carried", "cut"}
        ):
            if await conn.fetchval(f"SELECT EXISTS (SELECT 1 FROM {name})"):
                await conn.execute(f"DELETE FROM {name}")
        await conn.execute("UPDATE cut SET settlement_batch = 1, terms_version = 0")
    names = [row["relname"] for row in await conn.fetch(_SEQUENCES)]
    await conn.execute("SELECT " + ", ".join(f"setval('{name}', 1, false)" for name in names))


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseServer]:
    """The server of this test process; stops with it, however it ends."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("pg"), durable=False, settings=_SETTINGS)
    postgres.start()
    try:
        server = DatabaseServer(postgres)
        yield server
        server.close()
    finally:
        postgres.stop()


@pytest.fixture(scope="session")
def template_database(database_server: DatabaseServer) -> str:
    """Name of the migrated database that every `database_url` is a copy of."""
    database_server.make_template()
    return _TEMPLATE


@pytest.fixture(scope="session")
def citus() -> Iterator[CitusDatabase | None]:
    """The database spread over Citus that tests are to run on instead, if any."""
    url = os.environ.get("KOPECK_TEST_CITUS_URL") or None
    if url is None:
        yield None
        return
    database = CitusDatabase(url)
    yield database
    database.close()


@pytest.fixture
def plain_database_url(database_server: DatabaseServer, template_database: str) -> Iterator[str]:
    """URL of a migrated database of one server that belongs to this test alone."""
    name = database_server.create(template_database)
    yield database_server.url(name)
    database_server.drop(name)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, citus: CitusDatabase | None) -> Iterator[str]:
    """URL of a migrated database that belongs to this test alone, for as long as it runs.

    Tests that see a gateway from outside run on a schema spread over Citus where one is given.
    Others ask the tables in words of their own, and read them on one server always.
    """
    if citus is None or request.path.parent.name not in _FROM_OUTSIDE:
        yield request.getfixturevalue("plain_database_url")
        return
    with citus.emptied():
        yield citus.url


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """URL of a database without a single table."""
    name = database_server.create()
    yield database_server.url(name)
    database_server.drop(name)
