"""A connection on loan goes back without a word, however it ended."""

import asyncpg

from gateway.storage.lease import Lease
from tests.faults.payers import until


async def test_a_connection_that_broke_on_loan_goes_back_in_silence(database_url: str) -> None:
    """A warning of a library in the middle of a request would be an answer of 500 here."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        lease = Lease(pool, 5)
        conn = await lease.borrow()
        other = await asyncpg.connect(database_url)
        await other.execute("SELECT pg_terminate_backend($1)", conn.get_server_pid())
        await other.close()
        await until(lambda: lease.lost, 60, "the connection to be lost")
        await lease.give_back()
        async with Lease(pool, 5) as again:
            assert await again.fetchval("SELECT 1") == 1


async def test_a_connection_that_is_closed_but_still_ours_goes_back_in_silence(
    database_url: str,
) -> None:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        lease = Lease(pool, 5)
        conn = await lease.borrow()
        # What asyncpg does where a cancellation is not answered; it tidies up later.
        conn._con._protocol.abort()
        assert lease.lost
        await lease.give_back()
        async with Lease(pool, 5) as again:
            assert await again.fetchval("SELECT 1") == 1
