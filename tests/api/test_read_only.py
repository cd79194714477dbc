"""A primary that was demoted only reads: payments are unavailable meanwhile, never failed, and go
on by connections that were opened since.
"""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.migrate import migrate
from tests.api.conftest import recipient, served

PATIENCE = {"commit_deadline_ms": 1_000, "statement_timeout_ms": 900, "lock_timeout_ms": 900}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One whose settings the tests may change."""
    postgres = EmbeddedPostgres(
        tmp_path_factory.mktemp("pg"), durable=False, settings={"shared_buffers": "32MB"}
    )
    postgres.start()
    yield postgres
    postgres.stop()


@pytest.fixture
async def admin(server: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    conn = await asyncpg.connect(server.url)
    await migrate(conn)
    yield conn
    await demote(conn, "off")
    await conn.close()


async def demote(admin: asyncpg.Connection, only_reads: str) -> None:
    """Every session of the server, open or new, reads only; or writes again."""
    await admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {only_reads}")
    await admin.execute("SELECT pg_reload_conf()")
    while await admin.fetchval("SHOW default_transaction_read_only") != only_reads:
        await admin.execute("SELECT pg_sleep(0.01)")


async def workers(admin: asyncpg.Connection) -> set[int]:
    """The sessions of workers, by the server's pids."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'kopeck worker'"
    return {row["pid"] for row in await admin.fetch(query)}


async def test_a_server_that_only_reads_is_unavailable_and_its_connections_are_thrown_away(
    server: EmbeddedPostgres, admin: asyncpg.Connection
) -> None:
    body = {"subscriber_account": "A1", "amount": 15_000, "method": {"type": "card"}}
    async with served(server.url, **PATIENCE) as gateway:
        first = await gateway.pay(body, key="before")
        assert first.status == 201
        stale = await workers(admin)
        assert stale
        await demote(admin, "on")
        for _ in range(2):
            refused = await gateway.pay(body, key="meanwhile")
            assert (refused.status, refused.code) == (503, "unavailable")
        changed = await gateway.send(
            "PUT", "/v1/recipients/heat", recipient("heat"), role="operator"
        )
        assert (changed.status, changed.code) == (503, "unavailable")
        ready = await gateway.send("GET", "/readyz")
        assert (ready.status, ready.code) == (503, "unavailable")
        assert not await workers(admin) & stale
        await demote(admin, "off")
        again = await gateway.pay(body, key="meanwhile")
        assert again.status == 201
        assert "Idempotency-Replayed" not in again.headers
        assert (await gateway.send("GET", "/readyz")).status == 200
        repeated = await gateway.pay(body, key="before")
        assert repeated.json["id"] == first.json["id"]
        assert repeated.headers["Idempotency-Replayed"] == "true"
    assert await admin.fetchval("SELECT count(*) FROM payments") == 2
