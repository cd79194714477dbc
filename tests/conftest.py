"""Fixtures for real PostgreSQL: one server a test process, one fresh database a test.

`database_url` is a migrated, empty database of the test's own; `empty_database_url` has no tables
at all. The server is not durable, for speed: tests of durability start a server of their own.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from hypothesis import settings

from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.migrate import migrate

_TEMPLATE = "kopeck_template"
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


@pytest.fixture
def database_url(database_server: DatabaseServer, template_database: str) -> Iterator[str]:
    """URL of a migrated database that belongs to this test alone."""
    name = database_server.create(template_database)
    yield database_server.url(name)
    database_server.drop(name)


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """URL of a database without a single table."""
    name = database_server.create()
    yield database_server.url(name)
    database_server.drop(name)
