"""Every outcome that a bank can come to, over real sockets: what the caller sees, and the books."""

import asyncio
from pathlib import Path

from gateway.audit import report
from tests.acquirers.conftest import Pair, paired
from tests.api.conftest import bill


async def sound(pair: Pair) -> None:
    """The audit holds, and every kopeck that the bank took is in the journal."""
    found = await report.run(pair.gateway.database_url)
    assert found["problems"] == []
    total = await pair.conn.fetchval("SELECT coalesce(sum(total), 0)::bigint FROM payments")
    assert total == sum(one.amount for one in pair.charged())


async def test_an_approved_card_is_a_payment_like_any_other(pair: Pair) -> None:
    answer = await pair.pay("approve")
    assert answer.status == 201
    paid = answer.json
    assert (paid["state"], paid["amount"], paid["total"]) == ("accepted", 100000, 100000)
    assert sum(share["amount"] for share in paid["shares"]) == 100000
    assert paid["method"]["type"] == "card"
    assert paid["method"]["acquirer"] == "play"
    assert await pair.show(paid["id"]) == paid
    await sound(pair)


async def test_a_declined_card_is_no_payment_and_says_why(pair: Pair) -> None:
    declined = (await pair.pay("decline")).json
    assert (declined["state"], declined["reason"]) == ("declined", "insufficient_funds")
    assert declined["shares"] == []
    assert "next" not in declined
    assert await pair.show(declined["id"]) == declined
    assert await pair.payments() == 0
    await sound(pair)


async def test_a_code_of_sbp_is_pending_until_its_callback(pair: Pair) -> None:
    pending = (await pair.pay(method={"type": "sbp"})).json
    assert pending["state"] == "pending"
    assert pending["accepted_at"] is None
    assert pending["next"]["type"] == "qr"
    assert await pair.payments() == 0
    async with pair.gateway.session.post(pending["next"]["payload"]) as paid:
        assert paid.status == 200
    accepted = await pair.settled(pending["id"], "accepted")
    assert accepted["id"] == pending["id"]
    assert accepted["total"] == pending["total"]
    await sound(pair)


async def test_mir_pay_is_a_deep_link_that_the_payer_may_refuse(pair: Pair) -> None:
    pending = (await pair.pay(method={"type": "mir"})).json
    assert pending["next"]["type"] == "deeplink"
    async with pair.gateway.session.post(pending["next"]["url"] + "?outcome=decline"):
        pass
    declined = await pair.settled(pending["id"], "declined")
    assert declined["reason"] == "cancelled"
    await sound(pair)


async def test_a_timeout_is_pending_and_found_out_by_asking(pair: Pair) -> None:
    """The bank took the money and never said so: one charge, one payment."""
    pending = (await pair.pay("timeout")).json
    assert pending["state"] == "pending"
    await pair.settled(pending["id"], "accepted")
    assert len(pair.charged()) == 1
    assert await pair.payments() == 1
    await sound(pair)


async def test_a_lost_answer_is_found_out_too(pair: Pair) -> None:
    pending = (await pair.pay("lost-answer")).json
    assert pending["state"] == "pending"
    await pair.settled(pending["id"], "accepted")
    await sound(pair)


async def test_a_late_callback_accepts(pair: Pair) -> None:
    pending = (await pair.pay("late-callback")).json
    assert pending["state"] == "pending"
    await pair.settled(pending["id"], "accepted")
    await sound(pair)


async def test_a_callback_before_the_answer_accepts_as_well(pair: Pair) -> None:
    """It was booked by then, and the caller is told so."""
    accepted = (await pair.pay("early-callback")).json
    assert accepted["state"] == "accepted"
    assert await pair.show(accepted["id"]) == accepted
    await sound(pair)


async def test_callbacks_that_come_three_times_make_one_payment(pair: Pair) -> None:
    pending = (await pair.pay("duplicate-callback")).json
    await pair.settled(pending["id"], "accepted")
    assert await pair.payments() == 1
    await sound(pair)


async def test_a_bank_at_fault_never_had_the_order(database_url: str, tmp_path: Path) -> None:
    """It knows of none after a grace: declined, and the reference is free again."""
    async with paired(database_url, tmp_path, absent_after_s=1) as pair:
        await _declined_after_a_grace(pair)


async def _declined_after_a_grace(pair: Pair) -> None:
    body = pair.body("fault")
    pending = (await pair.gateway.pay(body)).json
    assert pending["state"] == "pending"
    declined = await pair.settled(pending["id"], "declined")
    assert declined["reason"] == "not_sent"
    again = await pair.gateway.pay(body | {"method": {"type": "card", "reference": "approve"}})
    assert again.json["state"] == "accepted"
    await sound(pair)


async def test_money_after_a_decline_is_not_lost(pair: Pair) -> None:
    declined = (await pair.pay("late-accept")).json
    assert declined["state"] == "declined"
    accepted = await pair.settled(declined["id"], "accepted")
    assert sum(share["amount"] for share in accepted["shares"]) == 100000
    await sound(pair)


async def test_money_after_a_decline_is_held_where_the_payer_paid_again(
    database_url: str, tmp_path: Path
) -> None:
    """Nobody wanted to pay twice: the second sum is whole in suspense, to be given back."""
    async with paired(database_url, tmp_path, delay_s=0.5) as pair:
        body = pair.body("late-accept")
        first = (await pair.gateway.pay(body)).json
        assert first["state"] == "declined"
        second = body | {"method": {"type": "card", "reference": "approve"}}
        assert (await pair.gateway.pay(second)).json["state"] == "accepted"
        held = await pair.settled(first["id"], "suspense")
        assert held["shares"] == []
        await sound(pair)


async def test_no_second_charge_before_the_first_is_declined(pair: Pair) -> None:
    """Under another key, and by whatever card: one reference is one charge."""
    body = pair.body(method={"type": "sbp"})
    pending = (await pair.gateway.pay(body)).json
    card = body | {"method": {"type": "card", "reference": "approve"}}
    refused = await pair.gateway.pay(card)
    assert (refused.status, refused.code) == (409, "state_conflict")
    async with pair.gateway.session.post(pending["next"]["payload"]):
        pass
    await pair.settled(pending["id"], "accepted")
    assert (await pair.gateway.pay(card)).code == "state_conflict"
    assert len(pair.charged()) == 1
    await sound(pair)


async def test_another_sum_than_asked_is_never_booked(pair: Pair) -> None:
    pending = (await pair.pay("wrong-amount")).json
    assert pending["state"] == "pending"
    assert await pair.state(pending["id"]) == "unknown"
    assert await pair.payments() == 0


async def test_the_first_answer_is_given_again_for_ever(pair: Pair) -> None:
    body, key = pair.body("late-callback"), pair.gateway.key()
    first = await pair.gateway.pay(body, key=key)
    await pair.settled(first.json["id"], "accepted")
    again = await pair.gateway.pay(body, key=key)
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await pair.gateway.pay(body | {"amount": 1}, key=key)
    assert other.code == "idempotency_key_reused"
    assert len(pair.charged()) == 1


async def test_the_surcharge_is_the_one_the_payer_was_told(pair: Pair) -> None:
    """Whatever is in force when the money comes."""
    await pair.gateway.send("PUT", "/v1/surcharges/sbp", {"ppm": 10000}, role="operator")
    pending = (await pair.pay(method={"type": "sbp"})).json
    assert (pending["surcharge"], pending["total"]) == (1000, 101000)
    await pair.gateway.send("PUT", "/v1/surcharges/sbp", {"ppm": 50000}, role="operator")
    async with pair.gateway.session.post(pending["next"]["payload"]):
        pass
    accepted = await pair.settled(pending["id"], "accepted")
    assert (accepted["amount"], accepted["surcharge"]) == (100000, 1000)
    await sound(pair)


async def test_money_that_no_bill_can_take_any_more_is_held(pair: Pair) -> None:
    """What was refused at a quote is held where the money is there already."""
    pending = (await pair.pay(method={"type": "sbp"}, amount=120000)).json
    stricter = bill(period="2026-11", overpayment="reject")
    stricter["charges"] = [{"service": "heating", "recipient": "heat", "due": 100}]
    loaded = await pair.gateway.send(
        "POST", "/v1/bills", {"bills": [stricter]}, role="operator", key=pair.gateway.key()
    )
    assert loaded.json["accepted"] == 1
    assert (await pair.gateway.pay(pair.body(amount=120000))).code == "overpayment"
    async with pair.gateway.session.post(pending["next"]["payload"]):
        pass
    await pair.settled(pending["id"], "suspense")
    await sound(pair)


async def test_a_code_that_nobody_paid_expires_when_the_bank_says_so(
    database_url: str, tmp_path: Path
) -> None:
    async with paired(database_url, tmp_path, expires_s=1) as pair:
        pending = (await pair.pay(method={"type": "sbp"})).json
        declined = await pair.settled(pending["id"], "declined")
        assert declined["reason"] == "expired"


async def test_a_race_of_answer_callbacks_and_polls_makes_one_payment(
    database_url: str, tmp_path: Path
) -> None:
    """Three workers on one database; the bank calls back thrice while each of them asks."""
    async with paired(database_url, tmp_path, delay_s=0.01) as pair:
        made = await asyncio.gather(
            *(pair.pay("duplicate-callback", amount=100) for _ in range(20))
        )
        for answer in made:
            await pair.conn.execute(
                "UPDATE authorisations SET next_poll_at = now() WHERE next_poll_at IS NOT NULL"
            )
            await pair.settled(answer.json["id"], "accepted")
        assert await pair.payments() == 20
        await sound(pair)
