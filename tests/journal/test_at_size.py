"""What keeps a payment's cost the same however much is stored: by index, in place, in few bytes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.bills import store as bill_store
from gateway.journal import store
from splitcore import pack
from tests.flows.region import Region, bill, region_in

OTHERS = 40_000
PAID = ("A", "B", "C")
_OTHER_BILLS = """
    INSERT INTO open_bills (subscriber_account, bill, plan, sequence, counts_from, overpayment,
                            period, due, weight, paid)
    SELECT 'other ' || n, 1000 + n, plan, 0, 0, overpayment, period, due, weight, paid
    FROM generate_series(1, $1::int) AS n JOIN open_bills ON subscriber_account = 'A'
"""
_OTHER_PAYMENTS = """
    INSERT INTO payments (id, accepted_at, amount, surcharge, total, commission, terms_version,
                          caller, settlement_batch, method, subscriber_account)
    SELECT overlay(gen_random_uuid()::text PLACING '0190' FROM 1)::uuid, now(),
           100, 0, 100, 0, 0, 1, 1, 0, 'other ' || n % 800
    FROM generate_series(1, $1::int) AS n
"""
# Rows read one after another, rows found by index, updates, and those that moved nothing.
_TOUCHED = """
    SELECT sum(seq_tup_read)::bigint, sum(idx_tup_fetch)::bigint, sum(n_tup_upd)::bigint,
           sum(n_tup_hot_upd)::bigint
    FROM pg_stat_xact_user_tables
    WHERE relid = $1::text::regclass
       OR relid IN (SELECT relid FROM pg_partition_tree($1::text::regclass))
"""


@pytest.fixture
async def region(database_url: str) -> AsyncIterator[Region]:
    async with region_in(database_url) as made:
        yield made


class Touched:
    """What this connection has done to a table since."""

    def __init__(self, conn: Any, table: str) -> None:
        self._conn = conn
        self._table = table
        self._before: tuple[int, ...] = ()

    async def since(self) -> "Touched":
        self._before = await self._now()
        return self

    async def rows(self) -> tuple[int, ...]:
        now = await self._now()
        return tuple(b - a for a, b in zip(self._before, now, strict=True))

    async def _now(self) -> tuple[int, ...]:
        return tuple(await self._conn.fetchrow(_TOUCHED, self._table))


async def test_a_group_reads_its_own_accounts_alone_and_updates_them_in_place(
    region: Region,
) -> None:
    conn = region.conn
    await region.load(*map(bill, PAID))
    # Statements are planned here, while there is next to nothing, and stay so.
    await group(region, "first")
    await conn.execute(_OTHER_BILLS, OTHERS)
    async with conn.transaction():
        bills = await Touched(conn, "open_bills").since()
        keys = await Touched(conn, "idempotency_keys").since()
        await group(region, "then")
        count = len(PAID)
        # Locked once, and found again to be updated.
        assert await bills.rows() == (0, 2 * count, count, count)
        assert await keys.rows() == (0, 0, 0, 0)


async def test_an_open_bill_stays_on_its_page_payment_after_payment(region: Region) -> None:
    conn = region.conn
    await region.load(bill("A"))
    await conn.execute(_OTHER_BILLS, OTHERS)
    before = await region.number("SELECT pg_relation_size('open_bills')")
    async with conn.transaction():
        bills = await Touched(conn, "open_bills").since()
        for number in range(3):
            await bill_store.save_paid(conn, [("A", pack([0, 0, 0]), number + 1)])
        assert await bills.rows() == (0, 3, 3, 3)
    assert await region.number("SELECT pg_relation_size('open_bills')") == before


async def test_payments_of_an_account_are_found_by_a_small_index(region: Region) -> None:
    conn = region.conn
    await conn.execute(_OTHER_PAYMENTS, OTHERS)
    await conn.execute("REINDEX INDEX payments_by_account")
    await conn.execute("ANALYZE payments")
    size = "SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree('payments_by_account')"
    assert 2 * OTHERS < await region.number(size) < 20 * OTHERS
    async with conn.transaction():
        payments = await Touched(conn, "payments").since()
        no = (None, None)
        found = await store.search_payments(conn, None, "other 7", no, no, OTHERS)
        assert len(found) == OTHERS // 800
        one_after_another, by_index, _, _ = await payments.rows()
        # Found by account, then read again by id; the planner itself looks at an end or two.
        assert one_after_another == 0
        assert 2 * len(found) <= by_index < 3 * len(found)


async def group(region: Region, run: str) -> None:
    """The statements of a commit group that pays once to each of PAID."""
    requests = [region.payment(f"{run} {account}", account, 100) for account in PAID]
    _, _, bills = await store.begin_group(region.conn, requests)
    assert list(bills) == list(PAID)
    paid = [(o.subscriber_account, o.paid, o.sequence + 1) for o in bills.values()]
    await bill_store.save_paid(region.conn, paid)
