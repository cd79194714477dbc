"""Of several hosts the one that writes is found, be another dead, silent, or a standby."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.config import Settings, StartRefused
from gateway.storage.lease import Lease
from gateway.storage.postgres import connect, open_pool
from gateway.storage.primary import Primary, for_libpq, hosts

NOBODY = "/no/such/directory"


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://k:p,w@one/kopeck", ["postgresql://k:p,w@one/kopeck"]),
        (
            "postgresql://k:pw@one:5433,two,[::1]:5434/kopeck?sslmode=require",
            [
                "postgresql://k:pw@one:5433/kopeck?sslmode=require",
                "postgresql://k:pw@two/kopeck?sslmode=require",
                "postgresql://k:pw@[::1]:5434/kopeck?sslmode=require",
            ],
        ),
        (
            "postgresql://k@/kopeck?host=/a,/b&port=5433,5434",
            [
                "postgresql://k@/kopeck?host=%2Fa&port=5433",
                "postgresql://k@/kopeck?host=%2Fb&port=5434",
            ],
        ),
        (
            "postgresql://k@/kopeck?host=/a,/b&port=5433",
            [
                "postgresql://k@/kopeck?host=%2Fa&port=5433",
                "postgresql://k@/kopeck?host=%2Fb&port=5433",
            ],
        ),
        (
            "postgresql://k@/kopeck?host=/a,/b",
            ["postgresql://k@/kopeck?host=%2Fa", "postgresql://k@/kopeck?host=%2Fb"],
        ),
    ],
)
def test_each_host_has_its_url(url: str, each: list[str]) -> None:
    assert hosts(url) == each


async def test_ports_for_another_number_of_hosts_are_refused() -> None:
    with pytest.raises(StartRefused, match="Expected as many ports as hosts, was 3 for 2"):
        await connect("postgresql://k@/kopeck?host=/a,/b&port=1,2,3", "test")


def test_postgresqls_own_programs_are_told_to_take_the_primary_of_several() -> None:
    assert for_libpq("postgresql://k@one/kopeck") == "postgresql://k@one/kopeck"
    several = "postgresql://k@one,two/kopeck"
    assert for_libpq(several) == f"{several}?target_session_attrs=primary"
    chosen = f"{several}?target_session_attrs=any"
    assert for_libpq(chosen) == chosen
    assert for_libpq(f"{several}?sslmode=require").endswith(
        "?sslmode=require&target_session_attrs=primary"
    )


def beside(url: str, *others: str) -> str:
    """The URL of a server on a socket, after those of others."""
    head, _, directory = url.partition("?host=")
    return f"{head}?host={','.join([*others, directory])}"


async def test_a_host_that_is_not_there_is_passed_over(database_url: str) -> None:
    conn = await connect(beside(database_url, NOBODY), "test")
    try:
        assert await conn.fetchval("SELECT count(*) > 0 FROM schema_migrations")
    finally:
        await conn.close()


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """A host that lets everybody in and never says a word, as one behind a dead link."""
    callers = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for writer in callers:
        writer.close()


class Asked:
    """asyncpg.connect, with what it was asked for."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.opened: list[asyncpg.Connection] = []

    async def __call__(self, url: str, **settings: Any) -> asyncpg.Connection:
        self.urls.append(url)
        conn = await asyncpg.connect(url, **settings)
        self.opened.append(conn)
        return conn


async def test_a_silent_host_costs_a_moment_once(database_url: str, silent: str) -> None:
    directory = database_url.partition("?host=")[2]
    name = database_url.partition("/test_")[2].partition("?")[0]
    several = f"postgresql://kopeck@/test_{name}?host={silent.partition(':')[0]},{directory}"
    several += f"&port={silent.partition(':')[2]},5432"
    asked = Asked()
    find = Primary(asked)
    for _ in range(2):
        conn = await find(several, timeout=30)
        assert await conn.fetchval("SELECT 1") == 1
        await conn.close()
    silent_url, good_url = hosts(several)
    assert asked.urls == [silent_url, good_url, good_url]


async def test_a_host_that_only_reads_is_passed_over_and_told_where_it_is_the_only_one(
    database_url: str, empty_database_url: str
) -> None:
    admin = await asyncpg.connect(database_url)
    name = database_url.partition("/test_")[2].partition("?")[0]
    await admin.execute(f"ALTER DATABASE test_{name} SET default_transaction_read_only = on")
    await admin.close()
    asked = Asked()

    async def either(url: str, **settings: Any) -> asyncpg.Connection:
        # The two databases of one server stand for two servers of one database.
        return await asked(database_url if NOBODY in url else empty_database_url, **settings)

    several = beside(database_url, NOBODY)
    conn = await Primary(either)(several)
    assert await conn.fetchval("SELECT current_database()") in empty_database_url
    await conn.close()
    assert [one.is_closed() for one in asked.opened] == [True]
    with pytest.raises(StartRefused, match="was none that writes"):
        await connect(f"{database_url},{database_url.partition('?host=')[2]}", "test")
    either_will_do = await connect(
        f"{beside(database_url, NOBODY)}&target_session_attrs=any", "test"
    )
    await either_will_do.close()
    only_reads = await connect(database_url, "test")
    assert await only_reads.fetchval("SHOW transaction_read_only") == "on"
    await only_reads.close()


async def test_what_a_server_says_is_told_rather_than_that_another_is_not_there(
    database_url: str,
) -> None:
    wrong = beside(database_url, NOBODY).replace("/test_", "/no_such_test_")
    with pytest.raises(StartRefused, match=r'database "no_such_test_.*" does not exist'):
        await connect(wrong, "test")


async def test_who_gives_up_leaves_nothing_behind(silent: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await Primary()(f"postgresql://kopeck@{silent},{silent}/kopeck", timeout=60)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_silent_connection_is_given_up_and_the_pool_opened_anew(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await open_pool(Settings(pool_min=2, pool_max=2), database_url)
    admin = await asyncpg.connect(database_url)
    try:
        async with Lease(pool, 5) as conn:
            first = await conn.fetchval("SELECT pg_backend_pid()")
            await conn.execute("CREATE TABLE bridge (toll bigint)")
        # A deadline that the server keeps its side of costs no connection.
        with pytest.raises(TimeoutError):
            async with Lease(pool, 5) as conn:
                await conn.execute("SELECT pg_sleep(30)", timeout=0.1)
        async with Lease(pool, 5) as conn:
            assert await conn.fetchval("SELECT pg_backend_pid()") == first
        lease = Lease(pool, 5)
        monkeypatch.setattr(lease, "_answers", _never)
        with pytest.raises(TimeoutError):
            async with lease as conn:
                raise TimeoutError
        assert lease.lost
        async with Lease(pool, 5) as one, Lease(pool, 5) as other:
            pids = {await conn.fetchval("SELECT pg_backend_pid()") for conn in (one, other)}
        assert first not in pids
        assert len(pids) == 2
    finally:
        await admin.close()
        await pool.close()


async def _never() -> bool:
    return False
