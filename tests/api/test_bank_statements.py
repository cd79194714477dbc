"""Bank statements, claims and cancellations over HTTP: statuses and shapes of the contract."""

import asyncio
from typing import Any

import asyncpg

from gateway.payouts.centre import TRIAL_CENTRE
from tests.api.conftest import Gateway
from tests.payouts.statement_files import Told, camt053, one_c

PATH = "/v1/bank-statements"
OWN = TRIAL_CENTRE.account


async def approved(region: Gateway) -> str:
    """The path of an approved batch of one payment."""
    body = {"subscriber_account": "220012345", "amount": 100_000, "method": {"type": "cash"}}
    assert (await region.pay(body)).status == 201
    closed = await region.send(
        "POST", "/v1/settlement-batches", {}, role="operator", key=region.key()
    )
    path = f"/v1/settlement-batches/{closed.json['id']}"
    answer = await region.send("POST", f"{path}/approve", {}, role="approver", key=region.key())
    assert answer.status == 200
    assert {one["state"] for one in answer.json["payouts"]} == {"approved"}
    return path


async def orders(region: Gateway) -> list[Told]:
    conn = await asyncpg.connect(region.database_url)
    try:
        rows = await conn.fetch("SELECT order_number, amount, account FROM payouts ORDER BY 1")
    finally:
        await conn.close()
    return [Told(str(number), amount, account) for number, amount, account in rows]


async def take(region: Gateway, content: bytes, query: str = "", key: str = "") -> Any:
    return await region.send(
        "POST", PATH + query, content, role="operator", key=key or region.key(),
        headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip


async def test_a_statement_tells_what_was_executed_and_what_came_back(region: Gateway) -> None:
    path = await approved(region)
    told = await orders(region)
    back = told[0].but(came=True, purpose=f"Возврат п/п {told[0].number}")
    first = await take(region, one_c(told, own=OWN), "?format=1c", key="s")
    assert first.status == 200
    assert first.json["format"] == "1c"
    assert [one["amount"] for one in first.json["executed"]] == [one.amount for one in told]
    second = await take(region, camt053([back], own=OWN), "?format=camt053")
    (returned,) = second.json["returned"]
    assert returned["settlement_batch"] == path.rpartition("/")[2]
    again = await take(region, one_c(told, own=OWN), "?format=1c", key="s")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (first.content, "true")
    known = await take(region, camt053(told, own=OWN))
    assert (known.json["known"], known.json["discrepancies"]) == (len(told), [])
    kept = await region.send("GET", f"{PATH}/{first.json['id']}", role="auditor")
    assert kept.json == first.json
    missing = await region.send("GET", f"{PATH}/bst_{'0' * 32}", role="operator")
    assert (missing.status, missing.code) == (404, "not_found")
    shown = await region.send("GET", path, role="auditor")
    assert shown.json["state"] == "partially_executed"
    states = {one["id"]: one["state"] for one in shown.json["payouts"]}
    assert states.pop(returned["payout"]) == "returned"
    assert set(states.values()) == {"executed"}


async def test_a_statement_that_does_not_add_up_is_refused_whole(region: Gateway) -> None:
    path = await approved(region)
    told = await orders(region)
    wrong = await take(region, one_c(told, own=OWN, closing=1), key="w")
    assert (wrong.status, wrong.code) == (422, "control_total_mismatch")
    for content, query in ((b"", ""), (b"<a/>", ""), (one_c(told), "?format=camt053")):
        answer = await take(region, content, query)
        assert (answer.status, answer.code) == (400, "malformed")
    unknown = await take(region, one_c(told), "?format=mt940")
    assert (unknown.status, unknown.code) == (400, "malformed")
    keyless = await region.send("POST", PATH, one_c(told), role="operator")
    assert (keyless.status, keyless.code) == (400, "idempotency_key_missing")
    shown = await region.send("GET", path, role="operator")
    assert shown.json["state"] == "approved"
    # A refusal keeps no key.
    assert (await take(region, one_c(told, own=OWN), key="w")).status == 200
    other = await take(region, camt053(told, own=OWN), key="w")
    assert (other.status, other.code) == (422, "idempotency_key_reused")


async def test_one_claim_and_no_cancellation_after_it(region: Gateway) -> None:
    path = await approved(region)
    sent = await region.send("POST", f"{path}/send", {}, role="operator", key="one")
    assert (sent.status, sent.json["state"]) == (200, "sent")
    other = await region.send("POST", f"{path}/send", {}, role="operator2", key="two")
    assert (other.status, other.code) == (409, "state_conflict")
    body = {"reason": "wrong requisites"}
    late = await region.send("POST", f"{path}/cancel", body, role="approver", key="x")
    assert (late.status, late.code) == (409, "state_conflict")


async def test_the_first_who_fetches_a_file_has_claimed_the_batch(region: Gateway) -> None:
    path = await approved(region)
    file = f"{path}/payout-file?format=1c"
    # Reading is no claim, and bytes that nobody answers for are given to nobody.
    looked = await region.send("GET", file, role="auditor")
    assert (looked.status, looked.code) == (409, "state_conflict")
    assert (await region.send("GET", path, role="auditor")).json["state"] == "approved"
    roles = ("operator", "operator2") * 3
    fetched = await asyncio.gather(*(region.send("GET", file, role=role) for role in roles))
    # Whoever meets another's claim under way is asked to come again.
    given = [one for one in fetched if one.status == 200]
    assert {one.code for one in fetched if one.status != 200} <= {"state_conflict"}
    assert [one.headers["Payout-Claim"] for one in given].count("now") == 1
    again = await region.send("GET", file, role="operator2")
    assert (again.status, again.headers["Payout-Claim"]) == (200, "before")
    assert {one.content for one in given} == {again.content}
    assert (await region.send("GET", file, role="auditor")).content == again.content
    shown = (await region.send("GET", path, role="auditor")).json
    assert (shown["state"], [one["event"] for one in shown["events"]]) == (
        "sent",
        ["approve", "send"],
    )
    # The bank may pay it by now: it is neither claimed once more nor owed again.
    twice = await region.send("POST", f"{path}/send", {}, role="operator", key="late")
    assert (twice.status, twice.code) == (409, "state_conflict")
    body = {"reason": "wrong requisites"}
    late = await region.send("POST", f"{path}/cancel", body, role="approver", key="x")
    assert (late.status, late.code) == (409, "state_conflict")


async def test_a_cancellation_says_why(region: Gateway) -> None:
    path = await approved(region)
    for reason, code in (
        ("", "malformed"),
        (" ", "malformed"),
        ("x\x00", "malformed"),
        ("card 4111 1111 1111 1111 of the payer", "pan_not_allowed"),
    ):
        body = {"reason": reason}
        refused = await region.send("POST", f"{path}/cancel", body, role="approver", key="x")
        assert refused.code == code
    body = {"reason": "wrong requisites"}
    done = await region.send("POST", f"{path}/cancel", body, role="approver", key="x")
    assert (done.status, done.json["state"]) == (200, "cancelled")
    last = done.json["events"][-1]
    assert (last["event"], last["by"], last["reason"]) == ("cancel", "approver", body["reason"])


async def test_every_form_of_the_payout_file(region: Gateway) -> None:
    path = await approved(region)
    for name, kind, begins in (
        ("1c", "text/plain; charset=windows-1251", b"1CClientBankExchange"),
        ("ed101", "application/xml; charset=windows-1251", b"<?xml"),
        ("pain001", "application/xml; charset=utf-8", b"<?xml"),
    ):
        answer = await region.send("GET", f"{path}/payout-file?format={name}", role="operator")
        assert answer.headers["Content-Type"] == kind
        assert answer.content.startswith(begins)
