"""What agreements say of a payout: how little waits, how long, and whom it is paid to."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway.audit import gauges, report
from gateway.domain.agreement import Requisites
from gateway.domain.bill import Charge
from gateway.domain.party import BankAccount
from gateway.flows import batch_life
from tests.flows.region import CASH, Region, batch_id, bill
from tests.flows.test_agreements import SetClock, agree, audited, version

MIDDAY = datetime(2026, 12, 14, 5, tzinfo=UTC)


async def day(region: Region, name: str, amount: int) -> dict[str, Any]:
    """A payment of so much and the close of its day: heat's position."""
    if amount:
        request = region.payment(name, "A", amount, method=CASH)
        await region.worker.intake.accept(request)
    closed = await region.close(f"close {name}")
    (found,) = (one for one in closed["positions"] if one["recipient"] == "heat")
    return {**found, "id": closed["id"]}


async def balances(region: Region) -> tuple[int, int]:
    """What is owed to suppliers by the gauge, and kopecks out of balance."""

    async def pause(seconds: float) -> None:
        pass

    found = await gauges.money(region.worker.context.connection, pause)
    return found.unsettled.get("supplier", 0), found.imbalance


async def test_little_money_waits_until_it_is_enough_or_too_old(region: Region) -> None:
    clock = SetClock(MIDDAY)
    async with region.working(clock) as worker:
        region.worker = worker
        await region.load(bill("A", Charge("heating", "heat", 10**9)))
        await agree(region, version("heat", minimum_payout=500_000))
        # Commission 1.5 %. Day after day: paid in, then (carried in, paid out, carried out).
        table = [
            (200_000, (0, 0, 197_000)),
            (200_000, (197_000, 0, 394_000)),
            (200_000, (394_000, 591_000, 0)),
            (100_000, (0, 0, 98_500)),
            (0, (98_500, 0, 98_500)),
            (0, (98_500, 0, 98_500)),
            (0, (98_500, 0, 98_500)),
            (100, (98_500, 0, 98_598)),
            # Five days after it first waited it is paid whatever it is.
            (0, (98_598, 98_598, 0)),
            (600_000, (0, 591_000, 0)),
        ]
        for n, (amount, expected) in enumerate(table):
            found = await day(region, f"d{n}", amount)
            names = ("carried_in", "payable", "carried_out")
            assert tuple(found[name] for name in names) == expected, n
            assert await balances(region) == (found["payable"] + found["carried_out"], 0)
            approved = await region.approve(f"a{n}", batch_id(found["id"]))
            paid = [one["amount"] for one in approved["payouts"]]
            assert paid == ([found["payable"]] if found["payable"] else [])
            clock.moment += timedelta(days=1)
        await audited(region)
    owed = await region.number("SELECT sum(amount - commission) FROM payments")
    assert await region.number("SELECT sum(amount) FROM payouts") == owed


async def test_what_waited_in_a_cancelled_batch_is_not_lost(region: Region) -> None:
    clock = SetClock(MIDDAY)
    async with region.working(clock) as worker:
        region.worker = worker
        await region.load(bill("A", Charge("heating", "heat", 10**9)))
        await agree(region, version("heat", minimum_payout=500_000))
        first = await day(region, "1", 100_000)
        claim = region.claim("boss", "cancel", "cancellations", first["id"])
        boss = region.callers["boss"]
        await batch_life.cancel(worker.context, claim, boss, batch_id(first["id"]), "again")
        second = await day(region, "2", 500_000)
        assert second["payable"] == 98_500 + 492_500
        await region.approve("a", batch_id(second["id"]))
        await audited(region)


async def test_money_that_has_waited_its_time_does_not_begin_anew_when_its_batch_is_cancelled(
    region: Region,
) -> None:
    """Nor when that happens twice; what is less than the minimum waits five days in all."""
    clock = SetClock(MIDDAY)
    async with region.working(clock) as worker:
        region.worker = worker
        await region.load(bill("A", Charge("heating", "heat", 10**9)))
        await agree(region, version("heat", minimum_payout=500_000))
        for n in range(5):
            found = await day(region, f"d{n}", 0 if n else 100_000)
            assert (found["payable"], found["carried_out"]) == (0, 98_500)
            clock.moment += timedelta(days=1)
        boss, batch = region.callers["boss"], None
        for again in range(3):
            found = await day(region, f"again {again}", 0)
            assert (found["payable"], found["carried_out"]) == (98_500, 0)
            batch = batch_id(found["id"])
            if again == 1:
                await region.approve("approve first", batch)
            if again < 2:
                claim = region.claim("boss", f"cancel {again}", "cancellations", batch)
                await batch_life.cancel(worker.context, claim, boss, batch, "a mistake")
        assert batch is not None
        await region.approve("a", batch)
        clock.moment += timedelta(days=1)
        # What comes after it was paid is new, and waits as new money does.
        assert (await day(region, "new", 100_000))["carried_out"] == 98_500
        await audited(region)


async def test_no_position_waits_that_nothing_says_so_of(region: Region) -> None:
    await region.load(bill("A", Charge("heating", "heat", 10**9)))
    await day(region, "1", 100_000)
    change = "UPDATE positions SET payable = 0, carried_out = payable WHERE payable > 0"
    await region.conn.execute(change)
    async with region.conn.transaction(isolation="repeatable_read", readonly=True):
        found: Any = (await report.audit(region.conn))["problems"]
    assert any(one["check"] == "position_wrong" for one in found), found
    with pytest.raises(asyncpg.CheckViolationError):
        await region.conn.execute("UPDATE positions SET payable = 1, carried_out = carried_out - 1")


async def test_a_payout_goes_where_the_agreement_in_force_at_approval_says(region: Region) -> None:
    clock = SetClock(MIDDAY)
    async with region.working(clock) as worker:
        region.worker = worker
        await region.load(bill("A", Charge("heating", "heat", 10**9)))
        account = BankAccount("044525225", "40702810138250123017", None, "Банк")
        requisites = Requisites("ООО Новое Тепло", "7707083893", "222501001", account)
        from_next_day = date(2026, 12, 15)
        await agree(region, version("heat", requisites=requisites, valid_from=from_next_day))
        found = []
        for name in ("before", "after"):
            closed = await day(region, name, 100_000)
            await region.approve(f"a {name}", batch_id(closed["id"]))
            clock.moment += timedelta(days=1)
            found.append(
                await region.conn.fetchrow(
                    "SELECT name, kpp, account FROM payouts ORDER BY settlement_batch DESC LIMIT 1"
                )
            )
        assert tuple(found[0]) == ("ООО heat", None, "40702810268000010356")
        assert tuple(found[1]) == (requisites.name, requisites.kpp, account.number)
        await audited(region)
