"""A key is one payment for ever, whoever asks, however often and at whichever worker."""

import asyncio

import pytest

from gateway.domain.payment import Receipt
from gateway.domain.refusals import Refusal
from gateway.flows import refund_payment, resolve_suspense
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, bill


async def test_one_key_sent_by_many_at_once_is_one_payment(region: Region) -> None:
    await region.load(bill("A"))
    async with region.working(group_size_max=4) as one, region.working(commit_lanes=3) as other:
        receipts = await asyncio.gather(
            *(
                worker.intake.accept(region.payment("same", "A", 12_345))
                for _ in range(32)
                for worker in (one, other)
            )
        )
    payments = [receipt.payment for receipt in receipts]
    assert all(payment == payments[0] for payment in payments)
    assert sorted(receipt.replayed for receipt in receipts) == [False] + [True] * 63
    assert await region.number("SELECT count(*) FROM payments") == 1
    assert await check_splits(region.conn, region.loaded) == 1
    await check_books(region.conn)


async def test_many_keys_each_sent_twice_at_two_workers(region: Region) -> None:
    await region.load(bill("A"), bill("B"))
    async with region.working(group_size_max=9) as one, region.working(group_size_max=11) as other:
        outcomes = await asyncio.gather(
            *(
                worker.intake.accept(region.payment(f"k{n}", "AB"[n % 2], 100 + n))
                for n in range(100)
                for worker in (one, other)
            )
        )
    ids = [receipt.payment.id for receipt in outcomes]
    assert ids[::2] == ids[1::2]
    assert sum(receipt.replayed for receipt in outcomes) == 100
    assert await check_splits(region.conn, region.loaded) == 100


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_key_used_for_another_body_is_refused(region: Region, at_once: bool) -> None:
    await region.load(bill("A"))
    accept = region.worker.intake.accept
    requests = [region.payment("k", "A", 100), region.payment("k", "A", 101)]
    if at_once:
        outcomes = await asyncio.gather(*map(accept, requests), return_exceptions=True)
    else:
        outcomes = [await accept(requests[0])]
        with pytest.raises(Refusal) as refused:
            await accept(requests[1])
        outcomes.append(refused.value)
    assert isinstance(outcomes[0], Receipt)
    assert isinstance(outcomes[1], Refusal)
    assert outcomes[1].code == "idempotency_key_reused"
    assert await region.number("SELECT count(*) FROM payments") == 1


async def test_a_key_twice_in_one_group_is_one_payment(region: Region) -> None:
    await region.load(bill("A"))
    requests = [region.payment("k", "A", 100) for _ in range(3)]
    receipts = await asyncio.gather(*map(region.worker.intake.accept, requests))
    assert [receipt.replayed for receipt in receipts] == [False, True, True]
    assert len({receipt.payment.id for receipt in receipts}) == 1


async def test_a_refused_key_twice_in_one_group_is_refused_twice_and_stays_free(
    region: Region,
) -> None:
    await region.load(bill("A", overpayment="reject"))
    requests = [region.payment("k", "A", 999_999) for _ in range(2)]
    outcomes = await asyncio.gather(
        *map(region.worker.intake.accept, requests), return_exceptions=True
    )
    assert [getattr(outcome, "code", None) for outcome in outcomes] == ["overpayment"] * 2
    assert await region.number("SELECT count(*) FROM idempotency_keys") == 0
    await region.pay("k", "A", 1)


async def test_callers_do_not_share_keys(region: Region) -> None:
    await region.load(bill("A"))
    accept = region.worker.intake.accept
    bank, post = await asyncio.gather(
        accept(region.payment("k", "A", 100, caller="bank")),
        accept(region.payment("k", "A", 200, caller="post")),
    )
    assert (bank.payment.amount, post.payment.amount) == (100, 200)


async def test_a_replay_answers_as_at_first_whatever_came_since(region: Region) -> None:
    await region.load(bill("A"))
    accept = region.worker.intake.accept
    split = await region.pay("split", "A", 5_000)
    held = await region.pay("held", "nowhere", 7_000)
    await region.refund("r1", split.id, 4_000)
    await region.refund("r2", held.id, 1_000)
    await region.resolve("v", held.id, "A")
    await region.refund("r3", held.id, 500)
    for key, account, amount, first in (
        ("split", "A", 5_000, split),
        ("held", "nowhere", 7_000, held),
    ):
        again = await accept(region.payment(key, account, amount))
        assert again.replayed
        assert again.payment == first


async def test_a_refund_and_a_resolution_happen_once_a_key(region: Region) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 5_000)
    held = await region.pay("h", "nowhere", 5_000)
    bank, op = region.callers["bank"], region.callers["op"]
    refund_claim = region.claim("bank", "r", "refunds", payment.id)
    resolve_claim = region.claim("op", "v", "resolutions", held.id)
    async with region.working() as other:
        contexts = [region.worker.context, other.context] * 4
        refunds = await asyncio.gather(
            *(refund_payment.refund(c, refund_claim, bank, payment.id, 700) for c in contexts)
        )
        resolutions = await asyncio.gather(
            *(resolve_suspense.resolve(c, resolve_claim, op, held.id, "A") for c in contexts)
        )
    for answers in (refunds, resolutions):
        assert len({answer.content for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
    assert await region.number("SELECT sum(amount) FROM refunds") == 700
    assert await region.number("SELECT count(*) FROM resolutions") == 1
    # On another route, or for another body, the key is no longer free.
    with pytest.raises(Refusal, match="idempotency_key_reused"):
        await region.pay("r", "A", 1)
    with pytest.raises(Refusal, match="idempotency_key_reused"):
        await region.refund("r", payment.id, 701)
    await check_books(region.conn)
