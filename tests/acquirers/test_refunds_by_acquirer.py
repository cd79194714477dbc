"""Refunds of what an acquirer took: it gives the money back, and the books follow, each once."""

from pathlib import Path
from typing import Any

from tests.acquirers.conftest import Pair, paired
from tests.acquirers.test_outcomes import sound
from tests.api.conftest import Answer


async def refund(pair: Pair, payment: str, amount: int, key: str | None = None) -> Answer:
    return await pair.gateway.send(
        "POST",
        f"/v1/payments/{payment}/refunds",
        {"amount": amount},
        role="acquirer",
        key=key or pair.gateway.key(),
    )


async def settled(pair: Pair, made: dict[str, Any], state: str) -> dict[str, Any]:
    """The refund once it has come to this state; TimeoutError where it does not."""
    path = f"/v1/payments/{made['payment']}/refunds/{made['id']}"
    for _ in range(600):
        found = (await pair.gateway.send("GET", path, role="acquirer")).json
        if found["state"] == state:
            return dict(found)
        await pair.passed()
    raise TimeoutError(f"Expected {state}")


async def test_a_refund_is_given_by_the_acquirer_and_then_by_the_books(pair: Pair) -> None:
    paid = (await pair.pay("approve")).json
    made = (await refund(pair, paid["id"], 30000)).json
    assert made["state"] == "refunded"
    assert sum(share["amount"] for share in made["shares"]) == 30000
    assert [one.amount for one in pair.bank.bank.given_back] == [30000]
    assert (await pair.show(paid["id"]))["state"] == "partially_refunded"
    assert await settled(pair, made, "refunded") == made
    await sound(pair)


async def test_a_payment_is_given_back_as_soon_as_it_stands_in_the_journal(pair: Pair) -> None:
    """The payment and the note that it was made are two commits; it is shown after the first."""
    paid = (await pair.pay("approve")).json
    await taken(pair)
    made = (await refund(pair, paid["id"], 30000)).json
    assert made["state"] == "refunded"
    # One that an acquirer took and that is not booked yet is no payment.
    pending = (await pair.pay(method={"type": "sbp"})).json
    await taken(pair)
    early = await refund(pair, pending["id"], 100)
    assert (early.status, early.code) == (409, "state_conflict")


async def taken(pair: Pair) -> None:
    """Every try is one that was taken and of which nobody looks whether it is booked."""
    await pair.conn.execute(
        "UPDATE authorisations"
        " SET state = 'taken', settled_at = NULL, next_poll_at = now() + interval '1 hour'"
    )


async def test_a_declined_refund_moves_nothing_and_reserves_nothing(pair: Pair) -> None:
    paid = (await pair.pay("refund-decline")).json
    made = (await refund(pair, paid["id"], 100000)).json
    assert (made["state"], made["shares"]) == ("declined", [])
    assert made["reason"] == "limit_exceeded"
    assert (await pair.show(paid["id"]))["refunded"] == 0
    assert (await refund(pair, paid["id"], 100000)).json["state"] == "declined"
    await sound(pair)


async def test_a_refund_whose_answer_was_lost_is_reserved_and_found_out(pair: Pair) -> None:
    paid = (await pair.pay("refund-lost-answer")).json
    made = (await refund(pair, paid["id"], 60000)).json
    assert made["state"] == "pending"
    more = await refund(pair, paid["id"], 100)
    assert (more.status, more.code) == (409, "state_conflict")
    await settled(pair, made, "refunded")
    more = await refund(pair, paid["id"], 60000)
    assert (more.status, more.code) == (422, "refund_exceeds_payment")
    assert [one.amount for one in pair.bank.bank.given_back] == [60000]
    await sound(pair)


async def test_a_refund_that_never_arrived_is_asked_for_again(
    database_url: str, tmp_path: Path
) -> None:
    """Under the same id, so that the bank gives once whatever became of the first request."""
    async with paired(database_url, tmp_path, absent_after_s=1) as pair:
        await _given_though_the_bank_was_at_fault(pair)


async def _given_though_the_bank_was_at_fault(pair: Pair) -> None:
    paid = (await pair.pay("refund-fault")).json
    made = (await refund(pair, paid["id"], 40000)).json
    assert made["state"] == "pending"
    await settled(pair, made, "refunded")
    assert [one.amount for one in pair.bank.bank.given_back] == [40000]
    await sound(pair)


async def test_a_refund_is_answered_again_for_ever(pair: Pair) -> None:
    paid = (await pair.pay("refund-lost-answer")).json
    key = pair.gateway.key()
    first = await refund(pair, paid["id"], 100, key)
    await settled(pair, first.json, "refunded")
    again = await refund(pair, paid["id"], 100, key)
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await refund(pair, paid["id"], 101, key)).code == "idempotency_key_reused"
    assert len(pair.bank.bank.given_back) == 1


async def test_what_is_not_taken_yet_cannot_be_given_back(pair: Pair) -> None:
    pending = (await pair.pay(method={"type": "sbp"})).json
    assert (await refund(pair, pending["id"], 1)).code == "state_conflict"


async def test_other_payments_are_given_back_by_their_caller_as_before(pair: Pair) -> None:
    """The caller has the money, so nobody is asked."""
    paid = (await pair.pay(acquirer=..., method={"type": "cash"})).json
    made = (await refund(pair, paid["id"], 100)).json
    assert "state" not in made
    path = f"/v1/payments/{paid['id']}/refunds/{made['id']}"
    assert (await pair.gateway.send("GET", path, role="acquirer")).json == made
    assert (await pair.gateway.send("GET", path, role="acquirer2")).code == "not_found"
    assert pair.bank.bank.given_back == []
