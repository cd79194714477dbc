"""Files of the log are ready before commits need them, in a server of our own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.storage import log_ahead
from gateway.storage.embedded import EmbeddedPostgres

FILE = 16 * log_ahead.MIB
MANY = 1024 * log_ahead.MIB
SETTINGS = {"shared_buffers": "16MB", "min_wal_size": "96MB"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(tmp_path / "data", settings=SETTINGS)
    postgres.start()
    yield postgres
    postgres.stop()


@pytest.fixture
async def conn(server: EmbeddedPostgres) -> AsyncIterator["asyncpg.Connection"]:
    opened = await asyncpg.connect(server.url)
    yield opened
    await opened.close()


async def no_pause() -> None:
    pass


async def ahead(conn: "asyncpg.Connection") -> int:
    """Files of the log that nothing was written to yet."""
    found: int = await conn.fetchval("""
        SELECT count(*) FROM pg_ls_waldir()
        WHERE length(name) = 24 AND name > pg_walfile_name(pg_current_wal_insert_lsn())
    """)
    return found


async def test_as_many_files_are_made_as_are_asked_for_and_no_more_later(
    conn: "asyncpg.Connection",
) -> None:
    pauses = 0

    async def pause() -> None:
        nonlocal pauses
        pauses += 1

    before = await ahead(conn)
    made = await log_ahead.make(conn, 4 * FILE, pause)
    assert (made, pauses) == (4 - before, 4 - before)
    assert await ahead(conn) >= 4
    assert await log_ahead.make(conn, 4 * FILE, pause) == 0
    # The server would remove what is beyond min_wal_size.
    await log_ahead.make(conn, MANY, no_pause)
    assert await ahead(conn) <= 6
    assert await log_ahead.make(conn, MANY, no_pause) <= 1


async def test_no_commit_makes_a_file_while_some_are_ready(conn: "asyncpg.Connection") -> None:
    await log_ahead.make(conn, 4 * FILE, no_pause)
    await conn.execute("CREATE TABLE paid (facts text)")

    async def files_made() -> int:
        await conn.execute("SELECT pg_stat_force_next_flush()")
        found: int = await conn.fetchval("""
            SELECT coalesce(sum(writes), 0)::integer FROM pg_stat_io
            WHERE object = 'wal' AND context = 'init'
        """)
        return found

    async def fill_a_file() -> None:
        await conn.execute(
            "INSERT INTO paid SELECT repeat(md5(n::text), 30) FROM generate_series(1, 18000) AS n"
        )

    before = await files_made()
    for _ in range(2):
        await fill_a_file()
    assert await files_made() == before
    for _ in range(6):
        await fill_a_file()
    assert await files_made() > before


async def test_none_is_made_while_others_write(
    server: EmbeddedPostgres, conn: "asyncpg.Connection"
) -> None:
    """The control is the server that is idle."""
    other = await asyncpg.connect(server.url)
    await other.execute("CREATE TABLE paid (facts text)")
    looks = 0

    async def pay() -> None:
        nonlocal looks
        looks += 1
        if looks <= 5:
            await other.execute(
                "INSERT INTO paid SELECT repeat(md5(n::text), 30) FROM generate_series(1, 500) n"
            )

    before = await ahead(conn)
    made = await log_ahead.make(conn, 4 * FILE, pay, while_idle=True)
    assert made == 4 - before
    assert looks == made + 5
    await other.close()


async def test_an_archived_log_is_left_alone(tmp_path: Path) -> None:
    settings = {**SETTINGS, "archive_mode": "on", "archive_command": "true"}
    postgres = EmbeddedPostgres(tmp_path / "data", settings=settings)
    postgres.start()
    try:
        conn = await asyncpg.connect(postgres.url)
        assert await log_ahead.make(conn, MANY, no_pause) == 0
        await conn.close()
    finally:
        postgres.stop()
