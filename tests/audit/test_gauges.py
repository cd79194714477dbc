"""Money gauges: plain SQL over what is stored, against what the payments say."""

import asyncio
import random
from collections import Counter
from contextlib import nullcontext
from unittest.mock import patch
from uuid import UUID

import asyncpg
import pytest

from gateway.audit import gauges, store
from gateway.domain.bill import Charge
from gateway.flows import batch_life
from splitcore import pack
from tests.flows.region import Region, batch_id, bill, region_in


@pytest.mark.parametrize(
    "values", [[0], [2**31 - 1, 0, 1], [2**31, 7], [2**62, 0, 2**63 - 1], list(range(300))]
)
async def test_sql_reads_one_integer_of_a_vector(database_url: str, values: list[int]) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        found = await conn.fetch(
            "SELECT packed_at($1, place) FROM generate_series(0, $2::integer) AS place",
            pack(values),
            len(values) - 1,
        )
    finally:
        await conn.close()
    assert [row[0] for row in found] == values


async def counted(region: Region, steps: int) -> gauges.MoneyGauges:
    """The gauges, read in as many steps of seven payments."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    with patch.object(gauges, "STEP_ROWS", 7):
        found = await gauges.money(lambda: nullcontext(region.conn), pause)
    assert len(pauses) == steps
    return found


async def owed(region: Region) -> dict[str, int]:
    """What the views for SQL users say is owed and in no payout, by kind."""
    rows = await region.conn.fetch("""
        SELECT r.kind, sum(m.kopecks)::bigint FROM (
            SELECT recipient, amount_kopecks AS kopecks FROM shares
            UNION ALL SELECT recipient, -commission_kopecks FROM commissions
            UNION ALL SELECT recipient, -amount FROM payouts
            UNION ALL SELECT recipient, amount FROM returned_money) AS m
        JOIN recipients AS r ON r.number = m.recipient GROUP BY r.kind
    """)
    return dict(map(tuple, rows))


async def test_what_is_unsettled_is_what_was_received_and_not_paid_out(database_url: str) -> None:
    async with region_in(database_url) as region:
        wide = Charge("gas", "waste", 10**12)
        await region.load(*(bill(f"A{n}") for n in range(3)), bill("A3", wide))
        dice = random.Random(3)
        for day in range(3):
            requests = [
                region.payment(f"p{day}/{n}", f"A{n % 5}", dice.randint(1, 9 * 10**9))
                for n in range(30)
            ]
            payments = await asyncio.gather(*map(region.worker.intake.accept, requests))
            for n in range(0, 30, 5):
                payment = payments[n].payment
                await region.refund(f"r{day}/{n}", payment.id, payment.amount // 2)
            # Thirty payments and then nothing more; those of days before are not read again.
            found = await counted(region, 6)
            assert found.unsettled == await owed(region)
            assert found.imbalance == 0
            assert found.suspense == await region.number(
                "SELECT balance_kopecks FROM trial_balance WHERE ledger_account = 'suspense'"
            )
            closed = await region.close(f"c{day}")
            assert (await counted(region, 0)).unsettled == await owed(region)
            if day == 1:
                await region.approve("a", batch_id(closed["id"]))
                found = await counted(region, 0)
                assert (found.unsettled, found.payouts) == (await owed(region), {"approved": 3})
                claim = region.claim("boss", "x", "cancellations")
                by = region.callers["boss"]
                batch = batch_id(closed["id"])
                await batch_life.cancel(region.worker.context, claim, by, batch, "a mistake")
                found = await counted(region, 0)
                assert found.unsettled == await owed(region)
                assert found.payouts == {"approved": 3, "cancelled": 3}


async def test_where_to_begin_is_looked_for_seldom_and_anew_for_other_batches(
    database_url: str,
) -> None:
    """A look reads the whole open batch, and takes a second by this clock."""
    moments = iter(range(10**9))
    offset = 0

    def now() -> float:
        return next(moments) + offset

    async def no_pause(seconds: float) -> None:
        pass

    async with region_in(database_url) as region:
        await region.load(bill("A1"))
        start = gauges.Start(now)

        async def batches_looked_at() -> list[list[int]]:
            looked: list[list[int]] = []
            find = store.first_payment

            async def noted(conn: object, batches: list[int]) -> UUID | None:
                looked.append(batches)
                return await find(conn, batches)

            with patch.object(store, "first_payment", noted):
                found = await gauges.money(lambda: nullcontext(region.conn), no_pause, start)
            # Kinds that nothing is owed to may be left out.
            assert Counter(found.unsettled) == Counter(await owed(region))
            return looked

        # Nobody has paid: there is nothing to keep.
        assert (await batches_looked_at(), await batches_looked_at()) == ([[1]], [[1]])
        await region.worker.intake.accept(region.payment("p1", "A1", 100))
        assert (await batches_looked_at(), await batches_looked_at()) == ([[1]], [])
        await region.worker.intake.accept(region.payment("p2", "A1", 100))
        assert await batches_looked_at() == []
        offset += gauges.LOOK_SHARE
        assert (await batches_looked_at(), await batches_looked_at()) == ([[1]], [])
        await region.close("c1")
        await region.worker.intake.accept(region.payment("p3", "A1", 100))
        assert (await batches_looked_at(), await batches_looked_at()) == ([[2]], [])
