"""Which servers may hold money, and which failed commits may have happened."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.config import Settings, StartRefused
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.postgres import (
    ALLOW_NOT_DURABLE,
    assert_durable,
    connect,
    open_pool,
    outcome_unknown,
    wrong_node,
)


@pytest.fixture(scope="module")
def durable_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("durable"))
    postgres.start()
    yield postgres.url
    postgres.stop()


@pytest.fixture
async def conn(durable_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(durable_url, "test")
    yield opened
    await opened.close()


async def test_our_own_server_keeps_what_it_has_answered(conn: asyncpg.Connection) -> None:
    await assert_durable(conn)
    shown = {
        name: await conn.fetchval("SELECT current_setting($1)", name)
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums")
    }
    assert set(shown.values()) == {"on"}, shown
    assert await conn.fetchval("SHOW listen_addresses") == ""


@pytest.mark.parametrize(
    ("level", "accepted"),
    [
        ("on", True),
        ("remote_apply", True),
        ("remote_write", False),
        ("local", False),
        ("off", False),
    ],
)
async def test_a_commit_counts_only_when_it_is_on_the_disk(
    conn: asyncpg.Connection, level: str, accepted: bool
) -> None:
    await conn.execute(f"SET synchronous_commit = {level}")
    if accepted:
        await assert_durable(conn)
    else:
        with pytest.raises(StartRefused, match=f"synchronous_commit to be .* was {level}"):
            await assert_durable(conn)


async def test_a_server_that_may_lose_payments_is_refused_with_all_its_faults(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = await connect(database_url, "test")
    try:
        with pytest.raises(StartRefused) as refused:
            await assert_durable(conn)
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert name in str(refused.value)
        assert "\n" not in str(refused.value)
        monkeypatch.setenv(ALLOW_NOT_DURABLE, "1")
        await assert_durable(conn)
    finally:
        await conn.close()


@pytest.mark.parametrize(
    ("told", "holds"),
    [
        ("on on on 100", True),
        ("on on remote_apply 1", True),
        ("off on on 100", False),
        ("on off on 100", False),
        ("on on local 100", False),
        ("on on remote_write 100", False),
        ("on on on 0", False),
    ],
)
def test_a_node_of_citus_that_may_lose_payments_is_named(told: str, holds: bool) -> None:
    wrong = wrong_node("10.0.0.2:5432", told)
    assert (wrong == "") is holds
    assert holds or ("node 10.0.0.2:5432" in wrong and told in wrong)


async def test_the_pools_sessions_have_their_deadlines(durable_url: str) -> None:
    pool = await open_pool(Settings(lock_timeout_ms=1500, pool_min=1), durable_url)
    async with pool.acquire() as session:
        assert await session.fetchval("SHOW lock_timeout") == "1500ms"
        assert await session.fetchval("SHOW statement_timeout") == "5s"
        assert await session.fetchval("SHOW idle_in_transaction_session_timeout") == "5s"
        assert await session.fetchval("SHOW timezone") == "UTC"
    await pool.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://kopeck:hunter2@127.0.0.1:1/kopeck",
        "postgresql://kopeck:hunter2@/nowhere?host=/no/such/directory",
        "postgresql://kopeck:hunter2@127.0.0.1:port/kopeck",
    ],
)
async def test_no_way_to_the_database_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(StartRefused) as refused:
        await connect(url, "test")
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_no_such_database_is_one_line(durable_url: str) -> None:
    with pytest.raises(StartRefused, match='database "nowhere" does not exist'):
        await connect(durable_url.replace("/kopeck?", "/nowhere?"), "test")


async def _failure(conn: asyncpg.Connection, sql: str, *arguments: object) -> BaseException:
    with pytest.raises(Exception) as failed:  # noqa: PT011  (the kind is what is tested)
        await conn.execute(sql, *arguments)
    return failed.value


async def test_an_error_that_the_server_reported_is_a_definite_failure(
    conn: asyncpg.Connection,
) -> None:
    await conn.execute("CREATE TEMP TABLE bridge (toll bigint UNIQUE DEFERRABLE)")
    await conn.execute("INSERT INTO bridge VALUES (1)")
    await conn.execute("SET statement_timeout = 50")
    for sql, arguments in (
        ("INSERT INTO bridge VALUES (1)", ()),
        ("SELECT 1 / 0", ()),
        ("SELECT pg_sleep(10)", ()),
        ("INSERT INTO bridge VALUES ($1)", ("not a number",)),
    ):
        failure = await _failure(conn, sql, *arguments)
        assert not outcome_unknown(failure), (sql, failure)


async def test_a_constraint_that_fails_at_commit_is_a_definite_failure(
    conn: asyncpg.Connection,
) -> None:
    await conn.execute("CREATE TEMP TABLE ferry (toll bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    group = conn.transaction()
    await group.start()
    await conn.execute("INSERT INTO ferry VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError) as failed:
        await group.commit()
    assert not outcome_unknown(failed.value)


async def test_a_session_that_was_ended_leaves_the_outcome_unknown(
    conn: asyncpg.Connection, durable_url: str
) -> None:
    victim = await connect(durable_url, "test")
    work = asyncio.create_task(_failure(victim, "SELECT pg_sleep(30)"))
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND state = $2"
    async with asyncio.timeout(10):
        while not await conn.fetchval(end, victim.get_server_pid(), "active"):
            pass
    assert outcome_unknown(await work)
    assert outcome_unknown(await _failure(victim, "SELECT 1"))


@pytest.mark.parametrize(
    "failure",
    [
        TimeoutError(),
        asyncio.CancelledError(),
        ConnectionResetError(),
        asyncpg.InternalClientError("?"),
        asyncpg.ConnectionDoesNotExistError("closed in the middle"),
        asyncpg.InterfaceError("connection is closed"),
        RuntimeError("anything nobody thought of"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_is_not_known_better_is_unknown(failure: BaseException) -> None:
    assert outcome_unknown(failure)


async def test_settings_of_the_test_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_nothing_of_the_data_directory_is_open_to_others(tmp_path: Path, durable_url: str) -> None:
    socket_dir = Path(durable_url.partition("host=")[2])
    assert socket_dir.stat().st_mode & 0o077 == 0
