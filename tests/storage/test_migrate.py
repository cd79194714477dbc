"""Migrations: in order, once, under a lock, and never over a schema that is not ours."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway.config import StartRefused
from gateway.storage import migrate as runner
from gateway.storage.migrate import (
    LOCK,
    SchemaAltered,
    SchemaNewer,
    current,
    migrate,
    migrations,
    sufficient,
)


@pytest.fixture
async def conn(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(empty_database_url)
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_bridge.sql").write_text("CREATE TABLE bridge (toll bigint)")
    (tmp_path / "0002_ferry.sql").write_text("CREATE TABLE ferry (toll bigint)")
    return tmp_path


async def test_files_are_applied_once_and_in_order(conn: asyncpg.Connection, folder: Path) -> None:
    assert await migrate(conn, folder) == ["0001_bridge", "0002_ferry"]
    assert await migrate(conn, folder) == []
    (folder / "0003_ford.sql").write_text("ALTER TABLE ferry RENAME TO ford")
    assert await migrate(conn, folder) == ["0003_ford"]
    rows = await conn.fetch("SELECT number, name FROM schema_migrations ORDER BY number")
    assert [tuple(row) for row in rows] == [(1, "bridge"), (2, "ferry"), (3, "ford")]


async def test_a_file_that_fails_leaves_nothing_and_keeps_those_before_it(
    conn: asyncpg.Connection, folder: Path
) -> None:
    (folder / "0002_ferry.sql").write_text("CREATE TABLE ferry (toll bigint); SELECT 1 / 0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(conn, folder)
    assert await conn.fetchval("SELECT to_regclass('ferry')") is None
    assert await conn.fetchval("SELECT array_agg(number) FROM schema_migrations") == [1]
    (folder / "0002_ferry.sql").write_text("CREATE TABLE ferry (toll bigint)")
    assert await migrate(conn, folder) == ["0002_ferry"]


async def test_two_gateways_that_start_at_once_apply_each_file_once(
    empty_database_url: str, folder: Path
) -> None:
    # The first file is slow, so that the second gateway surely comes while it runs.
    (folder / "0001_bridge.sql").write_text("SELECT pg_sleep(0.3); CREATE TABLE bridge (toll int)")
    gateways = [await asyncpg.connect(empty_database_url) for _ in range(3)]
    try:
        outcomes = await asyncio.gather(*(migrate(gateway, folder) for gateway in gateways))
    finally:
        for gateway in gateways:
            await gateway.close()
    assert sorted(outcomes) == [[], [], ["0001_bridge", "0002_ferry"]]


async def test_a_lock_that_is_never_freed_is_reported_and_not_waited_for_ever(
    conn: asyncpg.Connection, empty_database_url: str, folder: Path
) -> None:
    other = await asyncpg.connect(empty_database_url)
    try:
        assert await other.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
        with pytest.raises(StartRefused, match="Expected the migration lock within"):
            await migrate(conn, folder, lock_wait_s=0.1)
    finally:
        await other.close()


async def test_a_file_that_loses_a_deadlock_with_payers_is_begun_again(
    conn: asyncpg.Connection, empty_database_url: str, folder: Path
) -> None:
    await migrate(conn, folder)
    (folder / "0003_wider.sql").write_text(
        "ALTER TABLE bridge ADD COLUMN name text; SELECT pg_sleep(0.5);"
        "ALTER TABLE ferry ADD COLUMN name text"
    )
    payer = await asyncpg.connect(empty_database_url)
    try:
        # So that the one who is made to let go is the migration.
        await payer.execute("SET deadlock_timeout = '60s'")
        async with payer.transaction():
            await payer.execute("SELECT FROM ferry")
            migrating = asyncio.create_task(migrate(conn, folder))
            locked = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'bridge'::regclass"
            while not await payer.fetchval(locked):
                await payer.execute("SELECT pg_sleep(0.01)")
            await payer.execute("SELECT FROM bridge")
            refused = (
                "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()"
            )
            assert not migrating.done()
        assert await migrating == ["0003_wider"]
        while not await payer.fetchval(refused):
            await payer.execute("SELECT pg_stat_clear_snapshot(), pg_sleep(0.01)")
    finally:
        await payer.close()


async def test_tables_that_never_come_free_are_one_line(
    conn: asyncpg.Connection,
    empty_database_url: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_TABLE_WAIT", "50ms")
    monkeypatch.setattr(runner, "_AGAIN_S", 0.0)
    await migrate(conn, folder)
    (folder / "0003_wider.sql").write_text("ALTER TABLE ferry ADD COLUMN name text")
    reader = await asyncpg.connect(empty_database_url)
    try:
        async with reader.transaction():
            await reader.execute("SELECT FROM ferry")
            with pytest.raises(StartRefused, match=r"0003_wider to be free .* in 15 tries"):
                await migrate(conn, folder)
        assert await migrate(conn, folder) == ["0003_wider"]
    finally:
        await reader.close()


async def test_a_newer_schema_is_refused(conn: asyncpg.Connection, folder: Path) -> None:
    await migrate(conn, folder)
    (folder / "0002_ferry.sql").unlink()
    with pytest.raises(SchemaNewer, match="belongs to a newer kopeck"):
        await migrate(conn, folder)


async def test_an_applied_file_that_was_altered_is_refused(
    conn: asyncpg.Connection, folder: Path
) -> None:
    await migrate(conn, folder)
    (folder / "0001_bridge.sql").write_text("CREATE TABLE bridge (toll numeric)")
    with pytest.raises(SchemaAltered, match="0001_bridge as it was applied"):
        await migrate(conn, folder)


async def test_the_lock_is_free_after_a_refusal(conn: asyncpg.Connection, folder: Path) -> None:
    await migrate(conn, folder)
    (folder / "0002_ferry.sql").unlink()
    with pytest.raises(SchemaNewer):
        await migrate(conn, folder)
    assert await conn.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_current_only_when_the_schema_is_exactly_the_codes(
    conn: asyncpg.Connection, folder: Path
) -> None:
    assert not await current(conn, folder)
    await migrate(conn, folder)
    assert await current(conn, folder)
    (folder / "0003_ford.sql").write_text("CREATE TABLE ford (toll bigint)")
    assert not await current(conn, folder)


async def test_a_running_gateway_stays_ready_on_a_schema_that_a_newer_one_added_to(
    conn: asyncpg.Connection, folder: Path
) -> None:
    assert not await sufficient(conn, folder)
    await migrate(conn, folder)
    (folder / "0002_ferry.sql").rename(folder / "0002_ferry.later")
    assert await sufficient(conn, folder)
    assert not await current(conn, folder)
    (folder / "0001_bridge.sql").write_text("CREATE TABLE bridge (toll numeric)")
    assert not await sufficient(conn, folder)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0002_late.sql"], "numbered 1..1"),
        (["0001_one.sql", "0001_uno.sql"], "numbered 1..2"),
        (["1_short.sql"], "NNNN_name.sql"),
        (["0001_Capital.sql"], "NNNN_name.sql"),
    ],
)
def test_files_are_numbered_without_gaps(tmp_path: Path, names: list[str], complaint: str) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StartRefused, match=complaint):
        migrations(tmp_path)


async def test_the_products_own_migrations_are_current(database_url: str) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        assert await current(conn)
        assert await migrate(conn) == []
    finally:
        await conn.close()
