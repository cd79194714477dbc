"""Accepting payments on real PostgreSQL: split in commit order, each once, each durable or told."""

import asyncio
import random

import pytest

import splitcore
from gateway.domain.payment import Receipt
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import find_payments
from gateway.flows.find_bill import find as find_bill
from gateway.flows.set_terms import set_surcharge
from gateway.splitting.plans import Plan, PlanShelf
from splitcore import FeeRule, amount_for_total, fee
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import CARD, CASH, Region, as_read, bill, receipts_of, to_charge


async def owed(region: Region, account: str) -> list[int]:
    charges = (await find_bill(region.worker.context, account))["charges"]
    assert isinstance(charges, list)
    return [charge["due"] for charge in charges]


async def test_payments_to_one_account_are_split_in_commit_order_by_all_workers(
    region: Region,
) -> None:
    await region.load(bill("A"))
    dice = random.Random(1)
    async with (
        region.working(group_size_max=7) as one,
        region.working(group_size_max=3, commit_lanes=2) as other,
    ):
        requests = [region.payment(f"p{n}", "A", dice.randint(1, 900)) for n in range(300)]
        outcomes = await asyncio.gather(
            *((one, other)[n % 2].intake.accept(request) for n, request in enumerate(requests))
        )
    payments = receipts_of(outcomes)
    assert await check_splits(region.conn, region.loaded) == 300
    await check_books(region.conn)
    paid = await region.number("SELECT sum(kopecks) FROM open_bills, unpack(paid)")
    assert paid == sum(payment.amount for payment in payments)
    assert (
        await region.number(
            "SELECT count(*) FROM (SELECT accepted_at < lag(accepted_at) OVER (ORDER BY sequence)"
            " AS earlier FROM payments) AS p WHERE earlier"
        )
        == 0
    ), "what was split later was not accepted earlier"


async def test_what_the_caller_is_told_is_what_is_stored(region: Region) -> None:
    await region.load(bill("A"))
    told = await region.pay("k", "A", 50_000, ("waste", 1_000))
    found = await find_payments.find(region.worker.context, region.callers["bank"], told.id)
    assert found == told
    assert (told.state, told.amount, told.surcharge, told.total) == (
        "accepted", 50_000, 500, 50_500,
    )  # fmt: skip
    members = as_read(told)
    shares = [share["amount"] for share in members["shares"]]
    assert sum(members["charges"]) == sum(shares) == told.amount
    assert sum(r["gross"] for r in members["recipients"]) == told.amount
    with pytest.raises(Refusal, match="not_found"):
        await find_payments.find(region.worker.context, region.callers["post"], told.id)


async def test_second_payment_sees_what_the_first_left_owing(region: Region) -> None:
    await region.load(bill("A"))
    request = region.worker.intake.accept
    first, second = await asyncio.gather(
        request(region.payment("1", "A", 1_000)), request(region.payment("2", "A", 60_000))
    )
    charges = [as_read(receipt.payment)["charges"] for receipt in (first, second)]
    assert charges[0] == [0, 0, 1_000], "the old debt stands in the lower tier"
    assert charges[1] == [40_000, 20_000, 0]
    assert await owed(region, "A") == [40_000, 20_000, 0]


@pytest.mark.parametrize(
    ("designation", "amount", "code"),
    [
        ((("gas", 1),), 100, "malformed"),
        ((("waste", 101),), 100, "designation_exceeds_amount"),
    ],
)
async def test_a_bad_payment_does_not_sink_its_neighbours(
    region: Region, designation: tuple[tuple[str, int], ...], amount: int, code: str
) -> None:
    await region.load(bill("A"))
    requests = [region.payment(f"p{n}", "A", 100 + n) for n in range(9)]
    requests.insert(4, region.payment("bad", "A", amount, *designation))
    outcomes = await asyncio.gather(
        *map(region.worker.intake.accept, requests), return_exceptions=True
    )
    refused = outcomes.pop(4)
    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert len(receipts_of(outcomes)) == 9
    assert await check_splits(region.conn, region.loaded) == 9
    # The key of a refused payment is free: corrected, it is taken.
    await region.pay("bad", "A", 500)
    await check_books(region.conn)


async def test_a_payment_the_database_itself_refuses_stands_alone(region: Region) -> None:
    """A key of 256 characters is stopped at the border; if it were not, the CHECK would."""
    await region.load(bill("A"))
    requests = [region.payment(f"p{n}", "A", 100) for n in range(6)]
    requests.insert(2, region.payment("k" * 256, "A", 100))
    outcomes = await asyncio.gather(
        *map(region.worker.intake.accept, requests), return_exceptions=True
    )
    assert isinstance(outcomes.pop(2), Exception)
    assert len(receipts_of(outcomes)) == 6
    assert await check_splits(region.conn, region.loaded) == 6


async def test_a_full_queue_refuses_and_a_stream_waits(region: Region) -> None:
    await region.load(bill("A"))
    async with region.working(queue_max=4, group_size_max=2) as worker:
        requests = [region.payment(f"p{n}", "A", 100) for n in range(40)]
        outcomes = await asyncio.gather(
            *map(worker.intake.accept, requests), return_exceptions=True
        )
        taken = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
        assert (len(taken), len(refused)) == (4, 36)
        assert {error.code for error in refused} == {"overloaded"}
        again = [region.payment(f"p{n}", "A", 100) for n in range(40)]
        waiting = [await worker.intake.submit(again[at : at + 2]) for at in range(0, 40, 2)]
        told = [outcome for answer in waiting for outcome in await answer]
    assert len(receipts_of(told)) == 40
    assert sum(isinstance(one, Receipt) and one.replayed for one in told) == 4
    assert await region.number("SELECT count(*) FROM payments") == 40


async def test_a_drained_intake_finishes_what_it_took_and_takes_no_more(region: Region) -> None:
    await region.load(bill("A"))
    async with region.working(group_size_max=2) as worker:
        accept = worker.intake.accept
        tasks = [asyncio.create_task(accept(region.payment(f"p{n}", "A", 1))) for n in range(9)]
        await asyncio.sleep(0)
        await worker.intake.drain()
        assert len(receipts_of(await asyncio.gather(*tasks))) == 9
        with pytest.raises(Unavailable, match="unavailable"):
            await accept(region.payment("late", "A", 1))
    assert await region.number("SELECT count(*) FROM payments") == 9


@pytest.mark.parametrize(
    ("policy", "charges"),
    [
        # 1 000 over 80 000 : 40 000 : 1 000 is 661.16 : 330.58 : 8.26, the kopeck to 330.58.
        ("weights", [80_661, 40_331, 1_008]),
        (to_charge(1), [80_000, 41_000, 1_000]),
        ("reject", None),
    ],
)
async def test_overpayment_goes_where_the_bill_says(
    region: Region, policy: object, charges: list[int] | None
) -> None:
    await region.load(bill("A", overpayment=policy))
    if charges is None:
        with pytest.raises(Refusal, match="overpayment"):
            await region.pay("k", "A", 122_000)
        await region.pay("exact", "A", 121_000)
        with pytest.raises(Refusal, match="overpayment"):
            await region.pay("one more", "A", 1)
    else:
        payment = await region.pay("k", "A", 122_000)
        assert as_read(payment)["charges"] == charges
    assert await owed(region, "A") == [0, 0, 0]


async def test_a_total_is_used_up_to_the_kopeck_at_every_step_of_the_surcharge(
    region: Region,
) -> None:
    rule = FeeRule(ppm=33_333, fixed=7, min=50, max=400)
    await set_surcharge(region.worker.context, region.callers["op"], CASH, rule)
    await region.load(bill("A"))
    totals = [51, 52, 1_000, 1_331, 1_332, 1_333, 9_999, 12_299, 12_300, 50_000]
    requests = [
        region.payment(f"{account}{total}", account, total, method=CASH, is_total=True)
        for total in totals
        for account in ("A", "nowhere")
    ]
    payments = receipts_of(await asyncio.gather(*map(region.worker.intake.accept, requests)))
    for request, payment in zip(requests, payments, strict=True):
        assert payment.total == request.amount
        assert (payment.amount, payment.surcharge) == amount_for_total(request.amount, rule)
        assert payment.amount + fee(payment.amount, rule) <= request.amount
        assert payment.amount + 1 + fee(payment.amount + 1, rule) > request.amount
    await check_books(region.conn)


async def test_fee_rules_are_in_force_from_their_commit_on(region: Region) -> None:
    await region.load(bill("A"))
    first = await region.pay("1", "A", 50_000)
    async with region.working() as other:
        await set_surcharge(other.context, region.callers["op"], CARD, FeeRule(fixed=7))
        second = await region.pay("2", "A", 50_000)
    assert (first.surcharge, second.surcharge) == (500, 7)
    stored = await region.conn.fetch("SELECT surcharge, terms_version FROM payments ORDER BY id")
    assert stored[0]["terms_version"] < stored[1]["terms_version"]


def test_a_plan_that_is_needed_now_is_not_put_away_for_another() -> None:
    def plan(number: int) -> Plan:
        split = splitcore.Plan([0], [0], [[(0, splitcore.PPM)]])
        return Plan(number, split, ["heating"], [1], ["heat"], bytes(32))

    shelf = PlanShelf(plans_max=2)
    shelf.put(plan(1))
    shelf.put(plan(2))
    # A group needs the plan that was put there first, and one that is not there yet.
    assert shelf.missing([1, 3]) == [3]
    shelf.put(plan(3))
    assert (shelf.get(1).number, shelf.get(3).number) == (1, 3)
    assert shelf.missing([2]) == [2]
