"""What recipients owe after their money was paid out: netted, aged, paid in, or written off."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.audit import gauges
from gateway.domain.bill import Charge
from gateway.domain.refusals import Refusal
from gateway.flows import receivables
from gateway.watch import store as watch_store
from tests.flows.moving import approve_debt, ask_debt, audited, balance, charge, correct
from tests.flows.region import Region, batch_id, bill
from tests.flows.test_agreements import SetClock, agree, version


class Later:
    """A clock that is so many days ahead."""

    def __init__(self, days: int) -> None:
        self._days = days

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self._days)


async def owed(region: Region, recipient: str | None = None, days: int = 0) -> list[Any]:
    async with region.working(clock=Later(days)) as later:
        found = (await receivables.show(later.context, recipient))["receivables"]
    assert isinstance(found, list)
    return found


async def positions(region: Region, key: str) -> dict[str, Any]:
    told = await region.close(key)
    return {one["recipient"]: one for one in told["positions"]}


async def paid_out(region: Region) -> Any:
    """A payment of 10 000 to uk alone, in a batch that is approved."""
    await region.load(bill("A", Charge("flat", "uk", 100_000)), bill("B", Charge("gas", "heat", 9)))
    payment = await region.pay("p", "A", 10_000)
    batch = await region.close("b1")
    await region.approve("a1", batch_id(batch["id"]))
    return payment


async def test_a_correction_after_payout_is_netted_from_the_next_batch(region: Region) -> None:
    payment = await paid_out(region)
    await correct(region, "c", payment.id, subscriber_account="B", amount=4_000)
    await region.pay("q", "A", 2_500)
    found = await positions(region, "b2")
    assert (found["uk"]["payable"], found["uk"]["carried_out"]) == (0, -1_500)
    # 1.5 % of what heat is given anew.
    assert found["heat"]["payable"] == 4_000 - 60
    (debt,) = await owed(region, days=3)
    assert (debt["recipient"], debt["amount"], debt["batches"]) == ("uk", 1_500, 1)
    assert debt["days"] in (2, 3)
    await region.pay("r", "A", 1_000)
    found = await positions(region, "b3")
    assert found["uk"]["carried_out"] == -500
    (debt,) = await owed(region)
    assert (debt["amount"], debt["batches"], debt["largest"]) == (500, 2, 1_500)
    assert debt["netted"] == 1_000
    await region.pay("s", "A", 700)
    found = await positions(region, "b4")
    assert (found["uk"]["payable"], found["uk"]["carried_out"]) == (200, 0)
    assert await owed(region) == []
    await audited(region)


async def test_a_debt_that_comes_again_is_as_old_as_it_is(region: Region) -> None:
    payment = await paid_out(region)
    await charge(region, "x", payment.id, 1_000)
    await region.close("b2")
    first = (await owed(region))[0]["since_batch"]
    await region.pay("q", "A", 1_000)
    await region.close("b3")
    assert await owed(region) == []
    await charge(region, "y", payment.id, 1_000)
    await region.close("b4")
    (debt,) = await owed(region)
    assert (debt["amount"], debt["batches"]) == (1_000, 1)
    assert debt["since_batch"] != first


@pytest.mark.parametrize(("kind", "account"), [("paid_in", "bank"), ("written_off", "written_off")])
async def test_two_people_lessen_a_debt(region: Region, kind: str, account: str) -> None:
    payment = await paid_out(region)
    await region.refund("r", payment.id, 10_000)
    await region.close("b2")
    assert await owed(region, "heat") == []
    with pytest.raises(Refusal, match="state_conflict"):
        await ask_debt(region, "much", "uk", 10_001, kind)
    with pytest.raises(Refusal, match="not_found"):
        await ask_debt(region, "who", "nobody", 1, kind)
    before = await balance(region, account)
    request = (await ask_debt(region, "d", "uk", 6_000, kind))["id"]
    other = (await ask_debt(region, "e", "uk", 6_000, kind))["id"]
    assert (await owed(region))[0]["amount"] == 10_000
    with pytest.raises(Refusal, match="forbidden"):
        await approve_debt(region, "own", request, caller="op")
    async with region.working() as second:
        outcomes = await asyncio.gather(
            *(
                approve_debt(region, f"k{n}", one, on=worker)
                for n, (one, worker) in enumerate(
                    [(request, second), (other, region.worker), (request, region.worker)]
                )
            ),
            return_exceptions=True,
        )
    # Only one of the two fits the debt, and only once.
    assert sorted(type(one).__name__ for one in outcomes) == ["Refusal", "Refusal", "dict"]
    (debt,) = await owed(region)
    assert debt["amount"] == 4_000
    assert debt[kind] == 6_000
    assert await balance(region, account) == before - 6_000
    found = await positions(region, "b3")
    assert (found["uk"]["returned"], found["uk"]["carried_out"]) == (6_000, -4_000)
    (debt,) = await owed(region)
    assert (debt["amount"], debt["netted"]) == (4_000, 0)
    await audited(region)


async def test_money_that_waited_and_became_a_debt_is_one_since_that_batch(region: Region) -> None:
    """Nothing was ever owed before: what the batch carried in was the recipient's own money."""
    async with region.working(SetClock()) as worker:
        region.worker = worker
        payment = await paid_out(region)
        await agree(region, version("uk", minimum_payout=500_000))
        await region.pay("q", "A", 3_000)
        assert (await positions(region, "b2"))["uk"]["carried_out"] == 3_000
        await region.refund("r", payment.id, 10_000)
        closed = await region.close("b3")
        (position,) = closed["positions"]
        assert (position["carried_in"], position["carried_out"]) == (3_000, -7_000)
        shown: Any = await receivables.show(worker.context, None)
        (debt,) = shown["receivables"]
        assert (debt["amount"], debt["since_batch"]) == (7_000, closed["id"])
        assert (debt["batches"], debt["largest"], debt["netted"]) == (1, 7_000, 0)
        kopecks, since = await watch_store.receivable(region.conn)
        closed_at = await region.conn.fetchval("SELECT max(closed_at) FROM settlement_batches")
        assert (kopecks, since) == (7_000, closed_at)


async def test_a_debt_that_was_settled_is_owed_to_nobody(region: Region) -> None:
    """By the gauges: it lessens what is owed to us, and what recipients are owed not at all."""
    payment = await paid_out(region)
    await region.refund("r", payment.id, 10_000)
    await region.close("b2")

    async def pause(seconds: float) -> None:
        pass

    async def owed_both_ways() -> tuple[int, int]:
        found = await gauges.money(region.worker.context.connection, pause)
        kopecks, _ = await watch_store.receivable(region.conn)
        assert sum(found.unsettled.values()) - kopecks == await balance(region, "recipients")
        return sum(found.unsettled.values()), kopecks

    assert await owed_both_ways() == (0, 10_000)
    request = (await ask_debt(region, "d", "uk", 6_000, "paid_in"))["id"]
    await approve_debt(region, "k", request)
    assert await owed_both_ways() == (0, 4_000)
    await region.close("b3")
    assert await owed_both_ways() == (0, 4_000)
