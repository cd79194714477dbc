"""Payments by month: nothing is moved or lost on the way there, and no payment is ever refused."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from gateway.domain.ids import derived_id, earliest, new_id
from gateway.storage import months
from gateway.storage.migrate import MIGRATIONS, migrate

BEFORE = int(next(MIGRATIONS.glob("*_ids_of_first_months.sql")).name[:4])
_PAY = """
    INSERT INTO payments (id, accepted_at, amount, surcharge, total, commission, terms_version,
                          caller, settlement_batch, method, subscriber_account, reference)
    VALUES ($1, now(), 100, 0, 100, 0, 0, 1, 1, 0, 'A', 'R')
"""
_LIES_IN = "SELECT tableoid::regclass::text FROM payments WHERE id = $1"
_COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum
"""
_CHECKS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = $1::text::regclass AND contype IN ('c', 'p') ORDER BY contype
"""
_INDEXES = """
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', '') FROM pg_index
    WHERE indrelid = $1::text::regclass ORDER BY 1
"""
_PARTS = """
    SELECT inhrelid::regclass::text AS name FROM pg_inherits
    WHERE inhparent = 'payments'::regclass ORDER BY 1
"""
_VIEWS = "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1"


@pytest.fixture
async def conn(plain_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(plain_database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def older(empty_database_url: str, tmp_path: Path) -> AsyncIterator[asyncpg.Connection]:
    """A database of the schema before months."""
    for path in MIGRATIONS.glob("*.sql"):
        if int(path.name[:4]) < BEFORE:
            shutil.copy(path, tmp_path)
    opened = await asyncpg.connect(empty_database_url)
    await migrate(opened, tmp_path)
    yield opened
    await opened.close()


async def parts(conn: asyncpg.Connection) -> list[str]:
    return [row["name"] for row in await conn.fetch(_PARTS)]


async def pay(conn: asyncpg.Connection, id_: UUID) -> str:
    """Where a payment of this id lies."""
    await conn.execute(_PAY, id_)
    return str(await conn.fetchval(_LIES_IN, id_))


def at(days: float) -> UUID:
    """An id of a moment so many days from now."""
    return derived_id(earliest(datetime.now(UTC) + timedelta(days=days)), "one")


async def test_what_was_paid_becomes_the_first_month_as_it_stands(
    older: asyncpg.Connection,
) -> None:
    ids = [UUID(int=0), new_id(), at(-400), at(40), derived_id(new_id(), "part")]
    await older.executemany(_PAY, [(one,) for one in ids])
    await older.execute("CREATE ROLE looker; GRANT SELECT ON payments, ledger TO looker")
    await older.execute("CREATE VIEW ours WITH (security_barrier) AS SELECT id FROM payments")
    table = await older.fetchval("SELECT 'payments'::regclass::oid")
    views = await older.fetch(_VIEWS)
    columns = await older.fetch(_COLUMNS, "payments")
    try:
        await migrate(older)
        assert await older.fetchval("SELECT 'payments_first'::regclass::oid") == table
        assert {row[0] for row in await older.fetch("SELECT id FROM payments_first")} == set(ids)
        assert await older.fetchval("SELECT count(*) FROM payments") == len(ids)
        assert await older.fetch(_COLUMNS, "payments") == columns
        # Views read all months, in the words that they had; none reads the first alone.
        now = {row["viewname"]: row["definition"] for row in await older.fetch(_VIEWS)}
        assert {row["viewname"]: row["definition"] for row in views}.items() <= now.items()
        assert not [name for name, text in now.items() if "payments_first" in text]
        options = "SELECT reloptions::text FROM pg_class WHERE relname = 'ours'"
        assert await older.fetchval(options) == "{security_barrier=true}"
        await older.execute("SET ROLE looker")
        assert await older.fetchval("SELECT count(*) FROM payments") == len(ids)
        assert await older.fetchval("SELECT sum(debit_kopecks) FROM ledger") == 100 * len(ids)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await older.execute("DELETE FROM payments")
    finally:
        await older.execute("RESET ROLE")
        await older.execute("DROP OWNED BY looker; DROP ROLE looker")


async def test_what_is_bound_to_the_table_and_no_view_is_told(older: asyncpg.Connection) -> None:
    await older.execute("CREATE MATERIALIZED VIEW sums AS SELECT sum(amount) FROM payments")
    with pytest.raises(asyncpg.RaiseError, match="Expected only views"):
        await migrate(older)
    # Payments are taken meanwhile, and it is begun again.
    await pay(older, new_id())
    await older.execute("DROP MATERIALIZED VIEW sums")
    await migrate(older)
    assert await older.fetchval("SELECT count(*) FROM payments_first") == 1


async def test_each_month_holds_what_the_first_does(conn: asyncpg.Connection) -> None:
    names = await parts(conn)
    assert len(names) >= 3
    assert {"payments_first", "payments_other"} < set(names)
    for name in names:
        for about in (_COLUMNS, _INDEXES):
            assert await conn.fetch(about, name) == await conn.fetch(about, "payments_first")
        assert len(await conn.fetch(_CHECKS, name)) == len(await conn.fetch(_CHECKS, "payments"))
    ends = await months.until(conn)
    for one in (new_id(), earliest(ends - timedelta(days=1)), earliest(ends)):
        assert await pay(conn, one) in names
        for change in ("UPDATE payments SET amount = 1", "DELETE FROM payments"):
            with pytest.raises(asyncpg.RaiseError, match="only ever added"):
                await conn.execute(f"{change} WHERE id = $1", one)
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(_PAY.replace("100", "0"), one)


async def test_a_payment_lies_in_its_month_and_any_id_is_taken(conn: asyncpg.Connection) -> None:
    next_names = [n for n in await parts(conn) if n not in ("payments_first", "payments_other")]
    assert await pay(conn, new_id()) == "payments_first"
    for odd in (UUID(int=0), at(-20_000), derived_id(new_id(), "part")):
        assert await pay(conn, odd) == "payments_first"
    ends = await months.until(conn)
    last = earliest(ends - timedelta(milliseconds=1))
    assert await pay(conn, last) == next_names[-1]
    for odd in (earliest(ends), at(9_000), UUID(int=2**128 - 1)):
        assert await pay(conn, odd) == "payments_other"


async def test_months_are_made_ahead_once(conn: asyncpg.Connection) -> None:
    before = await parts(conn)
    assert await months.make(conn)
    assert await parts(conn) == before
    later = await months.until(conn)
    assert await months.make(conn, later)
    assert (await months.until(conn) - later).days >= 31 + 28
    made = sorted(set(await parts(conn)) - set(before))
    assert made == [f"payments_{later + timedelta(days=32 * n):%Y_%m}" for n in range(3)]


async def test_gateways_that_make_months_at_once_do_not_hurt_each_other(
    conn: asyncpg.Connection, plain_database_url: str
) -> None:
    later = await months.until(conn)
    others = [await asyncpg.connect(plain_database_url) for _ in range(3)]
    try:
        await asyncio.gather(*(months.make(one, later) for one in others))
        while not await months.make(conn, later):
            pass
        names = await parts(conn)
        assert len([n for n in names if n > f"payments_{later:%Y_%m}" and n[9:].isascii()]) >= 2
        assert len(names) == len(set(names))
    finally:
        for one in others:
            await one.close()


async def test_what_had_no_month_gets_one_and_no_row_is_moved(conn: asyncpg.Connection) -> None:
    ends = await months.until(conn)
    first, second = earliest(ends + timedelta(days=1)), earliest(ends + timedelta(days=33))
    assert {await pay(conn, first), await pay(conn, second)} == {"payments_other"}
    table = await conn.fetchval("SELECT 'payments_other'::regclass::oid")
    assert await months.make(conn, ends + timedelta(days=34))
    name = f"payments_{ends:%Y_%m}"
    assert await conn.fetchval(f"SELECT '{name}'::regclass::oid") == table
    for one in (first, second):
        assert await conn.fetchval(_LIES_IN, one) == name
    assert await conn.fetch(_INDEXES, "payments_other") == await conn.fetch(_INDEXES, name)
    assert len(await conn.fetch(_CHECKS, name)) == 2
    # The new one takes whatever comes, and is made a month in its turn.
    again = await months.until(conn)
    assert await pay(conn, earliest(again)) == "payments_other"
    assert await months.make(conn, again)
    assert await conn.fetchval(_LIES_IN, earliest(again)) == f"payments_{again:%Y_%m}"


async def test_payments_of_a_clock_far_ahead_are_left_and_keep_nobody_from_paying(
    conn: asyncpg.Connection,
) -> None:
    ends = await months.until(conn)
    await pay(conn, UUID(int=2**128 - 1))
    # Alone it is in no month's way.
    assert await months.make(conn, ends)
    ends = await months.until(conn)
    await pay(conn, earliest(ends))
    with pytest.raises(asyncpg.CheckViolationError):
        await months.make(conn, ends)
    assert await pay(conn, at(30_000)) == "payments_other"
    assert await pay(conn, new_id()) == "payments_first"
    assert await conn.fetchval("SELECT count(*) FROM payments") == 4


async def test_who_reads_for_long_keeps_a_month_waiting_and_no_payer(
    conn: asyncpg.Connection, plain_database_url: str
) -> None:
    reader = await asyncpg.connect(plain_database_url)
    later = await months.until(conn)
    before = await parts(conn)
    try:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM payments")
            assert not await months.make(conn, later)
            assert await parts(conn) == before
            assert await pay(conn, new_id()) == "payments_first"
        assert await months.make(conn, later)
        # Nor is anybody refused while what had no month waits to become one.
        later = await months.until(conn)
        await pay(conn, earliest(later))
        async with reader.transaction():
            await pay(reader, new_id())
            assert not await months.make(conn, later)
            assert await pay(conn, at(9_000)) == "payments_other"
    finally:
        await reader.close()
