"""Refunds and suspense: never more than was paid, every share back exactly, money placed once."""

import asyncio
import random
from uuid import UUID

import pytest

from gateway.domain.bill import Charge
from gateway.domain.ids import new_id
from gateway.domain.payment import Payment
from gateway.domain.refusals import Refusal
from gateway.flows.find_bill import find as find_bill
from gateway.flows.find_payments import find
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, as_read, bill


async def dues(region: Region, account: str = "A") -> list[int]:
    charges = (await find_bill(region.worker.context, account))["charges"]
    assert isinstance(charges, list)
    return [charge["due"] for charge in charges]


async def state_of(region: Region, payment: UUID) -> tuple[str, int]:
    found = await find(region.worker.context, region.callers["op"], payment)
    assert isinstance(found, Payment)
    return found.state, found.refunded


async def test_refunds_at_once_never_exceed_the_payment(region: Region) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 10_000)
    async with region.working() as other:
        outcomes = await asyncio.gather(
            *(
                region.refund(f"r{n}", payment.id, 1_100, on=(region.worker, other)[n % 2])
                for n in range(16)
            ),
            return_exceptions=True,
        )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert {refusal.code for refusal in refused} == {"refund_exceeds_payment"}
    assert len(outcomes) - len(refused) == 9
    assert await state_of(region, payment.id) == ("partially_refunded", 9_900)
    assert await check_splits(region.conn, region.loaded) == 1
    await check_books(region.conn)


@pytest.mark.parametrize("seed", range(4))
async def test_partial_refunds_return_every_share_exactly(region: Region, seed: int) -> None:
    await region.load(bill("A"))
    before = await dues(region)
    dice = random.Random(seed)
    payment = await region.pay("p", "A", dice.randint(100, 130_000))
    left = payment.amount
    while left:
        amount = dice.randint(1, left) if dice.random() < 0.8 else left
        answer = await region.refund(f"r{left}", payment.id, amount)
        assert sum(share["amount"] for share in answer["shares"]) == answer["amount"] == amount
        left -= amount
    assert await region.conn.fetch(
        "SELECT place FROM shares GROUP BY place HAVING sum(amount_kopecks) <> 0"
    ) == []  # fmt: skip
    assert await state_of(region, payment.id) == ("refunded", payment.amount)
    assert await dues(region) == before
    with pytest.raises(Refusal, match="refund_exceeds_payment"):
        await region.refund("more", payment.id, 1)
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


@pytest.mark.parametrize("amount", [0, -1, -10_000, 10**13 + 1])
async def test_only_a_positive_amount_is_given_back(region: Region, amount: int) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 10_000)
    with pytest.raises(Refusal, match="amount_out_of_range"):
        await region.refund("r", payment.id, amount)
    assert await region.number("SELECT count(*) FROM refunds") == 0


async def test_another_bank_cannot_give_back_what_it_did_not_take(region: Region) -> None:
    payment = await region.pay("p", "nowhere", 10_000)
    for key, caller, id_ in (("a", "post", payment.id), ("b", "bank", new_id())):
        with pytest.raises(Refusal, match="not_found"):
            await region.refund(key, id_, 1, caller=caller)
    assert await region.number("SELECT count(*) FROM idempotency_keys WHERE route = 1") == 0


async def test_a_refund_on_a_replaced_bill_opens_the_new_one_by_service(region: Region) -> None:
    await region.load(bill("A", Charge("heating", "heat", 1_000), Charge("gas", "uk", 500)))
    payment = await region.pay("p", "A", 1_500)
    corrected = bill(
        "A", Charge("water", "waste", 300), Charge("heating", "heat", 400, 1),
        Charge("heating", "heat", 900, 0),
    )  # fmt: skip
    await region.load(corrected)
    # 1 000 of heating: 900 to the debt of tier 0, 100 to the current charge; gas is on no line.
    assert await dues(region) == [300, 300, 0]
    await region.refund("r", payment.id, 300)
    # 200 of it was heating; what was filled last, the higher tier, is emptied first.
    assert await dues(region) == [300, 400, 100]
    await check_splits(region.conn, region.loaded)


async def test_a_refund_of_what_an_older_bill_had_counted_changes_no_due(region: Region) -> None:
    await region.load(bill("A", period="2026-10"))
    payment = await region.pay("p", "A", 5_000)
    await region.load(bill("A", period="2026-11"))
    before = await dues(region)
    await region.refund("r", payment.id, 5_000)
    assert await dues(region) == before
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_suspense_is_held_whole_then_placed_once(region: Region) -> None:
    await region.load(bill("A"))
    held = await region.pay("h", "nowhere", 10_000)
    assert (held.state, held.allocation, held.surcharge) == ("suspense", None, 100)
    with pytest.raises(Refusal, match="account_invalid"):
        await region.resolve("v0", held.id, "nowhere else")
    with pytest.raises(Refusal, match="account_invalid"):
        await region.resolve("v1", held.id, "nowhere-else")
    outcomes = await asyncio.gather(
        *(region.resolve(f"v{n}", held.id, "A") for n in range(2, 10)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert [refusal.code for refusal in refused] == ["state_conflict"] * 7
    found = await find(region.worker.context, region.callers["bank"], held.id)
    assert (found.state, found.subscriber_account, sum(as_read(found)["charges"])) == (
        "accepted",
        "A",
        10_000,
    )
    assert await dues(region) == [74_000, 37_000, 0]
    with pytest.raises(Refusal, match="state_conflict"):
        await region.resolve("split", (await region.pay("p", "A", 1)).id, "A")
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_suspense_partly_given_back_places_the_rest(region: Region) -> None:
    await region.load(bill("A"))
    held = await region.pay("h", "nowhere", 10_000)
    assert (await region.refund("r1", held.id, 4_000))["shares"] == []
    placed = await region.resolve("v", held.id, "A")
    assert (placed["state"], placed["amount"]) == ("partially_refunded", 6_000)
    assert sum(placed["charges"]) == 6_000
    with pytest.raises(Refusal, match="refund_exceeds_payment"):
        await region.refund("r2", held.id, 6_001)
    await region.refund("r3", held.id, 6_000)
    assert await state_of(region, held.id) == ("refunded", 10_000)
    assert await dues(region) == [80_000, 40_000, 1_000]
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)
    balance = await region.conn.fetch("SELECT ledger_account, balance_kopecks FROM trial_balance")
    left = {row[0]: row[1] for row in balance if row[1]}
    # The refund came after the commission was withheld, so the recipients owe it to us.
    commission = left["commission"]
    assert left == {
        "acquirer": -100, "surcharge": 100, "commission": commission, "recipients": -commission,
    }  # fmt: skip


async def test_suspense_given_back_whole_can_no_longer_be_placed(region: Region) -> None:
    await region.load(bill("A"))
    held = await region.pay("h", "nowhere", 10_000)
    await region.refund("r", held.id, 10_000)
    with pytest.raises(Refusal, match="state_conflict"):
        await region.resolve("v", held.id, "A")
    assert await state_of(region, held.id) == ("refunded", 10_000)


async def test_a_resolution_and_refunds_at_once_add_up(region: Region) -> None:
    await region.load(bill("A"))
    held = [await region.pay(f"h{n}", "nowhere", 1_000) for n in range(6)]
    await asyncio.gather(
        *(region.resolve(f"v{n}", payment.id, "A") for n, payment in enumerate(held)),
        *(region.refund(f"r{n}", payment.id, 300) for n, payment in enumerate(held)),
        *(region.refund(f"s{n}", payment.id, 400) for n, payment in enumerate(held)),
    )
    assert [await state_of(region, p.id) for p in held] == [("partially_refunded", 700)] * 6
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)
