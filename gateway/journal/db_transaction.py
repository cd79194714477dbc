"""Transactions of the journal, and the lock that closes a settlement batch.

Whatever moves money holds the cut lock shared until its commit; closing a batch takes it alone
for the instant of the cut, so that every row is in exactly one batch, those in flight included.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

CUT_LOCK = 7301
COUNT_LOCK = 7302
SEAL_LOCK = 7303
COUNT_WAIT_S = 60.0
ROLLBACK_TIMEOUT_S = 2.0

_BEGIN_SHARED = f"BEGIN; SELECT pg_advisory_xact_lock_shared({CUT_LOCK})"
_BY_INDEX = "SELECT plan_by_index()"
_BEGIN_ALONE = f"BEGIN; SELECT pg_advisory_xact_lock({CUT_LOCK})"


async def plan_by_index(conn: Any) -> None:
    """Makes a connection one for commit groups alone, which look up their own accounts and keys."""
    await conn.execute(_BY_INDEX)


@asynccontextmanager
async def _db_transaction(conn: Any, begin: str) -> AsyncIterator[None]:
    # An error out of COMMIT leaves the outcome unknown; it passes through as it is.
    try:
        await conn.execute(begin)
        yield
    except BaseException:
        await _roll_back(conn)
        raise
    await conn.execute("COMMIT")


async def _roll_back(conn: Any) -> None:
    # The error that led here is the one to tell; a connection that cannot roll back is no good.
    try:
        if not conn.is_closed():
            await conn.execute("ROLLBACK", timeout=ROLLBACK_TIMEOUT_S)
    except Exception:
        conn.terminate()


def moving_money(conn: Any) -> Any:
    """A transaction that adds rows to the open settlement batch."""
    return _db_transaction(conn, _BEGIN_SHARED)


def cutting(conn: Any) -> Any:
    """A transaction that no row of money is in flight beside: the cut, and new fee rules."""
    return _db_transaction(conn, _BEGIN_ALONE)


@asynccontextmanager
async def counting(conn: Any) -> AsyncIterator[None]:
    """A transaction that counts closed batches, or lays their rows out; one at a time.

    Payments go on meanwhile.
    """
    async with conn.transaction():
        # Counting a day takes as long as it takes; it holds up nobody.
        await conn.execute("SET LOCAL statement_timeout = 0")
        await conn.execute("SELECT pg_advisory_xact_lock($1)", COUNT_LOCK, timeout=COUNT_WAIT_S)
        yield


@asynccontextmanager
async def sealing(conn: Any) -> AsyncIterator[None]:
    """A transaction that seals a batch; one at a time, for each is chained to the one before."""
    async with conn.transaction():
        await conn.execute("SET LOCAL statement_timeout = 0")
        await conn.execute("SELECT pg_advisory_xact_lock($1)", SEAL_LOCK, timeout=COUNT_WAIT_S)
        yield


@asynccontextmanager
async def reading(conn: Any) -> AsyncIterator[None]:
    """A transaction in which every statement, and every cursor, sees the same rows."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        await conn.execute("SET LOCAL statement_timeout = 0")
        yield


def writing(conn: Any) -> Any:
    """An ordinary transaction, for what moves no money."""
    return _db_transaction(conn, "BEGIN")
