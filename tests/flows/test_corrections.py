"""Corrections and chargebacks: to the kopeck, in any order, at once, and never an edit."""

import asyncio
import random
from typing import Any

import pytest

from gateway.domain.bill import Charge
from gateway.domain.refusals import Refusal
from gateway.flows.find_bill import find as find_bill
from tests.flows.moving import audited, balance, charge, correct, held, win, withheld
from tests.flows.oracle import check_books
from tests.flows.region import Region, bill, payment_id


async def dues(region: Region, account: str) -> list[int]:
    charges = (await find_bill(region.worker.context, account))["charges"]
    assert isinstance(charges, list)
    return [one["due"] for one in charges]


async def moves_add_up(region: Region) -> None:
    await check_books(region.conn)
    await audited(region)
    assert await balance(region, "corrections") == 0


async def test_from_account_to_account(region: Region) -> None:
    await region.load(bill("A"), bill("B", Charge("gas", "heat", 70_000)))
    payment = await region.pay("p", "A", 60_500)
    before = await withheld(region, payment.id)
    assert await dues(region, "A") == [40_333, 20_167, 0]

    told = await correct(region, "c", payment.id, subscriber_account="B", amount=20_000)

    assert [move["amount"] for move in told["moves"]] == [-20_000, 20_000]
    assert sum(share["amount"] for move in told["moves"] for share in move["shares"]) == 0
    found = await held(region, payment.id)
    assert sum(found.values()) == 60_500
    assert found["B", "gas", "heat"] == 20_000
    assert await dues(region, "B") == [50_000]
    assert sum(await dues(region, "A")) == 60_500 + 20_000
    # heat has what it had less its part, and the new money's: 1.5 % of 20 000 is 300.
    taken = next(move for move in told["moves"] if move["amount"] < 0)
    back = {one["recipient"]: -one["amount"] for one in taken["commissions"]}
    given = next(move for move in told["moves"] if move["amount"] > 0)
    assert given["commissions"] == [{"recipient": "heat", "amount": 300}]
    after = await withheld(region, payment.id)
    assert after["heat"] == before["heat"] - back["heat"] + 300
    assert after["waste"] == before["waste"] - back["waste"]
    await moves_add_up(region)


async def test_what_moves_whole_leaves_nothing_behind(region: Region) -> None:
    await region.load(bill("A"), bill("B"))
    payment = await region.pay("p", "A", 60_500)
    before = await withheld(region, payment.id)
    for number, amount in enumerate((1, 59_000, 1_499)):
        await correct(
            region,
            f"c{number}",
            payment.id,
            subscriber_account="B",
            from_account="A",
            amount=amount,
        )
    found = await held(region, payment.id)
    assert {account for account, _, _ in found} == {"B"}
    assert sum(await dues(region, "A")) == 121_000
    assert sum(await dues(region, "B")) == 60_500
    assert before.keys() == (await withheld(region, payment.id)).keys()
    await correct(region, "back", payment.id, subscriber_account="A", from_account="B")
    assert {account for account, _, _ in await held(region, payment.id)} == {"A"}
    assert await withheld(region, payment.id) == before
    await moves_add_up(region)


async def test_from_service_to_service(region: Region) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 60_000)
    waste = (await held(region, payment.id))["A", "waste", "waste"]

    await correct(
        region, "c", payment.id, services=(("waste", waste),), designation=(("heating", waste),)
    )

    found = await held(region, payment.id)
    assert ("A", "waste", "waste") not in found
    assert sum(found.values()) == 60_000
    assert await dues(region, "A") == [80_000 - 59_000, 40_000, 0]
    assert "waste" not in await withheld(region, payment.id)
    await moves_add_up(region)


async def test_from_period_to_period_changes_nothing_but_the_period(region: Region) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 60_000)
    have, kept, owed = (
        await held(region, payment.id),
        await withheld(region, payment.id),
        await dues(region, "A"),
    )
    told = await correct(region, "c", payment.id, period="2026-09", amount=10_000)
    assert [(move["period"], move["amount"]) for move in told["moves"]] == [
        ("2026-10", -10_000),
        ("2026-09", 10_000),
    ]
    assert await held(region, payment.id) == have
    assert await withheld(region, payment.id) == kept
    assert await dues(region, "A") == owed
    # A replaced bill counts it as before, whichever of its lots it is in.
    await region.load(bill("A"))
    assert await dues(region, "A") == owed
    await region.refund("r", payment.id, 60_000)
    assert await held(region, payment.id) == {}
    assert sum(await dues(region, "A")) == 121_000
    await moves_add_up(region)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "more than is left": ({"subscriber_account": "B", "amount": 60_001}, "refund_exceeds_payment"),
    "more of a service than it has": (
        {"services": (("waste", 50_000),), "designation": (("heating", 1),)},
        "refund_exceeds_payment",
    ),
    "an account without a bill": ({"subscriber_account": "nowhere"}, "account_invalid"),
    "the account it is on": ({"subscriber_account": "A"}, "state_conflict"),
    "an account it is not on": (
        {"subscriber_account": "B", "from_account": "B"},
        "state_conflict",
    ),
    "the period it is for": ({"period": "2026-10"}, "state_conflict"),
    "a service the bill has not": ({"designation": (("gas", 1),)}, "malformed"),
    "a designation beyond the sum": (
        {"amount": 5, "designation": (("waste", 6),)},
        "designation_exceeds_amount",
    ),
    "more than a strict bill owes": ({"subscriber_account": "C"}, "overpayment"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_is_refused_and_leaves_no_trace(region: Region, case: str) -> None:
    await region.load(
        bill("A"), bill("B"), bill("C", Charge("gas", "heat", 10), overpayment="reject")
    )
    payment = await region.pay("p", "A", 60_000)
    asked, code = REFUSED[case]
    with pytest.raises(Refusal) as refused:
        await correct(region, "c", payment.id, **asked)
    assert refused.value.code == code
    assert await region.number("SELECT count(*) FROM moves") == 0
    assert await region.number("SELECT count(*) FROM idempotency_keys WHERE key = 'c'") == 0
    await moves_add_up(region)


async def test_the_same_key_is_answered_again_and_moves_once(region: Region) -> None:
    await region.load(bill("A"), bill("B"))
    payment = await region.pay("p", "A", 60_000)
    first = await correct(region, "c", payment.id, subscriber_account="B", amount=9)
    assert await correct(region, "c", payment.id, subscriber_account="B", amount=9) == first
    with pytest.raises(Refusal, match="idempotency_key_reused"):
        await correct(region, "c", payment.id, subscriber_account="B", amount=10)
    assert await region.number("SELECT count(*) FROM corrections") == 1


async def test_at_once_no_kopeck_is_moved_twice(region: Region) -> None:
    await region.load(bill("A"), bill("B"), bill("C"))
    payment = await region.pay("p", "A", 10_000)
    other = await region.pay("q", "B", 10_000)
    async with region.working() as second:
        workers = (region.worker, second)
        outcomes = await asyncio.gather(
            *(
                correct(
                    region,
                    f"c{n}",
                    (payment, other)[n % 2].id,
                    on=workers[n // 2 % 2],
                    subscriber_account=("B", "A")[n % 2] if n % 3 else "C",
                    from_account=("A", "B")[n % 2],
                    amount=1_700,
                )
                for n in range(12)
            ),
            *(region.refund(f"r{n}", payment.id, 1_300, on=workers[n % 2]) for n in range(4)),
            *(charge(region, f"x{n}", other.id, 1_300, on=workers[n % 2]) for n in range(4)),
            return_exceptions=True,
        )
    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert all(isinstance(one, Refusal) for one in refused), refused
    assert {one.code for one in refused if isinstance(one, Refusal)} <= {
        "refund_exceeds_payment",
        "state_conflict",
    }
    assert sum((await held(region, payment.id)).values()) == 10_000 - 4 * 1_300
    assert sum((await held(region, other.id)).values()) == 10_000 - 4 * 1_300
    await moves_add_up(region)


@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_that_adds_up_to_the_payment_ends_at_nothing(
    region: Region, seed: int
) -> None:
    """Of every kind, through closes and new bills, until all of it went back."""
    dice = random.Random(seed)
    await region.load(bill("A"), bill("B"), bill("C", Charge("gas", "uk", 9_000)))
    payment = await region.pay("p", "A", dice.randint(50, 150_000))
    left, step = payment.amount, 0
    cases: list[tuple[str, int]] = []
    refused: list[str] = []
    while left:
        step += 1
        amount = left if step > 25 else dice.randint(1, left)
        match (
            "refund"
            if step > 25
            else dice.choice(
                ["refund", "charge", "win", "move", "move", "service", "period", "close", "bill"]
            )
        ):
            case "refund" if step > 25 or dice.random() < 0.5:
                await region.refund(f"r{step}", payment.id, amount)
                left -= amount
            case "charge" if dice.random() < 0.5:
                cases.append(((await charge(region, f"x{step}", payment.id, amount))["id"], amount))
                left -= amount
            case "win" if cases:
                case, most = cases.pop(dice.randrange(len(cases)))
                back = dice.randint(1, most)
                await win(region, f"w{step}", payment.id, case, back)
                if back < most:
                    cases.append((case, most - back))
                left += back
            case "move":
                to = dice.choice("ABC")
                try:
                    await correct(
                        region, f"m{step}", payment.id, subscriber_account=to,
                        from_account=dice.choice("ABC"), amount=dice.randint(1, amount),
                    )  # fmt: skip
                except Refusal as refusal:
                    refused.append(refusal.code)
            case "service":
                try:
                    await correct(
                        region, f"s{step}", payment.id, services=(("waste", 7),),
                        from_account="A", designation=(("heating", 5),),
                    )  # fmt: skip
                except Refusal as refusal:
                    refused.append(refusal.code)
            case "period":
                await correct(region, f"t{step}", payment.id, period=f"20{step + 30}-01")
            case "close":
                await region.close(f"b{step}")
            case "bill":
                month = dice.choice(["2026-10", f"2026-{11 + step // 20}"])
                await region.load(bill(dice.choice("AB"), period=month))
            case _:
                pass
        assert sum((await held(region, payment.id)).values()) == left
    assert set(refused) <= {"state_conflict", "refund_exceeds_payment"}
    with pytest.raises(Refusal, match="refund_exceeds_payment"):
        await region.refund("more", payment.id, 1)
    assert await held(region, payment.id) == {}
    await region.close("last")
    await moves_add_up(region)
    assert not await region.conn.fetch(
        "SELECT recipient FROM positions GROUP BY 1 HAVING sum(gross) <> sum(refunds)"
    )


async def test_a_chargeback_is_taken_from_recipients_and_paid_to_nobody(region: Region) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 60_000)
    had, kept = await held(region, payment.id), await withheld(region, payment.id)
    owed = await balance(region, "acquirer")
    told = await charge(region, "x", payment.id, 20_000)
    assert told["moves"][0]["amount"] == -20_000
    assert await balance(region, "acquirer") == owed + 20_000
    assert await region.number("SELECT count(*) FROM refunds") == 0
    # The rest can be given back, and no more.
    with pytest.raises(Refusal, match="refund_exceeds_payment"):
        await region.refund("r", payment.id, 40_001)
    await win(region, "w", payment.id, told["id"])
    assert (await held(region, payment.id), await withheld(region, payment.id)) == (had, kept)
    assert await dues(region, "A") == [80_000 - 39_333, 40_000 - 19_667, 0]
    assert await balance(region, "acquirer") == owed
    with pytest.raises(Refusal, match="state_conflict"):
        await win(region, "again", payment.id, told["id"], 1)
    await moves_add_up(region)


async def test_a_case_is_booked_once_whatever_key_it_comes_with(region: Region) -> None:
    await region.load(bill("A"))
    payment = await region.pay("p", "A", 60_000)
    outcomes = await asyncio.gather(
        *(charge(region, f"x{n}", payment.id, 100, case="CB-1") for n in range(6)),
        charge(region, "op", payment.id, 100, case="CB-1", caller="op"),
        return_exceptions=True,
    )
    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert len(refused) == 6
    assert all(isinstance(one, Refusal) and one.code == "state_conflict" for one in refused)
    assert await region.number("SELECT sum(amount) FROM chargebacks") == 100
    with pytest.raises(Refusal, match="not_found"):
        await charge(region, "other", payment.id, 100, caller="post")
    await moves_add_up(region)


async def test_a_chargeback_out_of_suspense(region: Region) -> None:
    payment = await region.pay("p", "A", 60_000)
    told = await charge(region, "x", payment.id, 20_000)
    assert told["moves"] == []
    assert await balance(region, "suspense") == 40_000
    with pytest.raises(Refusal, match="state_conflict"):
        await correct(region, "c", payment.id, period="2026-09")
    first = await win(region, "w1", payment.id, told["id"], 5_000)
    assert first["moves"] == []
    assert await balance(region, "suspense") == 45_000
    await region.load(bill("A"))
    assert (await region.resolve("s", payment.id, "A"))["amount"] == 45_000
    # The rest is won after the money found its account: it follows there.
    second = await win(region, "w2", payment.id, told["id"])
    assert second["moves"][0]["amount"] == 15_000
    assert sum((await held(region, payment.id)).values()) == 60_000
    assert await balance(region, "suspense") == 0
    await region.refund("r", payment.id, 60_000)
    assert await held(region, payment.id) == {}
    assert payment_id(told["payment"]) == payment.id
    await moves_add_up(region)
