"""Corrections, chargebacks and debts over HTTP: answers, permissions, bad input."""

from typing import Any

import msgspec
import pytest

from gateway.api import answers
from tests.api.conftest import Gateway, payment

WHY = {"reason": "the payer erred", "document": "letter 17"}


async def paid(region: Gateway, **more: Any) -> str:
    return str((await region.pay(payment(**more))).json["id"])


async def correct(region: Gateway, id_: str, key: str = "c", **asked: Any) -> Any:
    return await region.send(
        "POST", f"/v1/payments/{id_}/corrections", role="operator", key=key, body={**WHY, **asked}
    )


async def test_a_payment_tells_what_became_of_it(region: Gateway) -> None:
    id_ = await paid(region)
    told = await correct(region, id_, services={"waste": 333}, designation={"heating": 333})
    assert told.status == 201
    msgspec.json.decode(told.content, type=answers.CorrectionShown)
    assert sum(move["amount"] for move in told.json["moves"]) == 0
    case = await region.send(
        "POST", f"/v1/payments/{id_}/chargebacks", role="acquirer", key="x",
        body={"amount": 5_000, "case": "CB-1", "reason_code": "10.4"},
    )  # fmt: skip
    assert case.status == 201
    msgspec.json.decode(case.content, type=answers.ChargebackShown)
    won = await region.send(
        "POST", f"/v1/payments/{id_}/chargebacks/{case.json['id']}/reversals", role="operator",
        key="w", body={"amount": 2_000, "document": "verdict 3"},
    )  # fmt: skip
    assert won.status == 201
    msgspec.json.decode(won.content, type=answers.ReversalShown)
    back = await region.send(
        "POST", f"/v1/payments/{id_}/refunds", role="acquirer", key="r", body={"amount": 100}
    )
    assert sum(share["amount"] for share in back.json["shares"]) == 100
    same = await region.send(
        "GET", f"/v1/payments/{id_}/refunds/{back.json['id']}", role="acquirer"
    )
    assert same.json == back.json

    shown = await region.send("GET", f"/v1/payments/{id_}", role="auditor")
    standing = msgspec.json.decode(shown.content, type=answers.PaymentStanding)
    assert (standing.state, standing.refunded, standing.charged_back) == (
        "partially_refunded",
        100,
        3_000,
    )
    assert [entry.kind for entry in standing.entries] == [
        *("correction", "chargeback", "reversal", "refund"),
    ]
    assert [sum(move.amount for move in entry.moves) for entry in standing.entries] == [
        *(0, -5_000, 2_000, -100),
    ]
    again = await correct(region, id_, services={"waste": 333}, designation={"heating": 333})
    assert (again.content, again.headers["Idempotency-Replayed"]) == (told.content, "true")


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing to change": ({}, 400, "malformed"),
    "amount and services": (
        {"amount": 5, "services": {"waste": 5}, "designation": {"heating": 5}}, 400, "malformed"
    ),
    "a period and an account": (
        {"period": "2026-09", "subscriber_account": "2"}, 400, "malformed"
    ),
    "no period": ({"period": "September"}, 400, "malformed"),
    "a float": ({"amount": 5.0, "period": "2026-09"}, 400, "malformed"),
    "nothing of a service": (
        {"services": {"waste": 0}, "designation": {"heating": 1}}, 422, "amount_out_of_range"
    ),
    "no amount": ({"amount": 0, "period": "2026-09"}, 422, "amount_out_of_range"),
    "an account that is none": ({"subscriber_account": "?"}, 422, "account_invalid"),
    "more than there is": ({"amount": 10**12, "period": "2026-09"}, 422, "refund_exceeds_payment"),
    "no reason": ({"period": "2026-09", "reason": " "}, 400, "malformed"),
    "no document": ({"period": "2026-09", "document": ""}, 400, "malformed"),
    "a card number": (
        {"period": "2026-09", "document": "card 4111 1111 1111 1111"}, 422, "pan_not_allowed"
    ),
    "an unknown key": ({"period": "2026-09", "why": "so"}, 400, "malformed"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_bad_corrections_are_refused_and_change_nothing(region: Gateway, case: str) -> None:
    id_ = await paid(region)
    asked, status, code = BAD[case]
    told = await correct(region, id_, **asked)
    assert (told.status, told.json["code"]) == (status, code)
    shown = await region.send("GET", f"/v1/payments/{id_}", role="auditor")
    assert "entries" not in shown.json
    # The key was not used up.
    assert (await correct(region, id_, period="2026-09")).status == 201


@pytest.mark.parametrize("body", [
    *({}, {"case": "1"}, {"case": "", "reason_code": "1"}, {"case": "1", "reason_code": "x" * 17}),
    *({"case": "1" * 65, "reason_code": "1"}, {"case": "1", "reason_code": "1", "amount": True}),
])  # fmt: skip
async def test_bad_chargebacks_are_malformed(region: Gateway, body: dict[str, Any]) -> None:
    id_ = await paid(region)
    told = await region.send(
        "POST", f"/v1/payments/{id_}/chargebacks", role="acquirer", key="x", body=body
    )
    assert (told.status, told.json["code"]) == (400, "malformed")


async def test_nobody_learns_of_a_payment_that_is_not_there(region: Gateway) -> None:
    nobody, case = "pay_" + "0" * 32, "chb_" + "0" * 32
    for path, role, body in (
        (f"/v1/payments/{nobody}/corrections", "operator", {**WHY, "period": "2026-09"}),
        (f"/v1/payments/{nobody}/chargebacks", "acquirer", {"case": "1", "reason_code": "1"}),
        (f"/v1/payments/{nobody}/chargebacks/{case}/reversals", "operator", {"document": "1"}),
        ("/v1/receivables/nobody", "operator", {**WHY, "kind": "paid_in", "amount": 1}),
        (f"/v1/debt-requests/dbt_{'0' * 32}/approve", "approver", {}),
    ):  # fmt: skip
        told = await region.send("POST", path, role=role, key=path[-9:] + role, body=body)
        assert (told.status, told.json["code"]) == (404, "not_found"), path


async def test_a_debt_over_http(region: Gateway) -> None:
    id_ = await paid(region)
    await region.send("POST", "/v1/settlement-batches", role="operator", key="b1", body={})
    await region.send(
        "POST", f"/v1/payments/{id_}/refunds", role="acquirer", key="r", body={"amount": 100000}
    )
    await region.send("POST", "/v1/settlement-batches", role="operator", key="b2", body={})
    found = await region.send("GET", "/v1/receivables", role="operator")
    msgspec.json.decode(found.content, type=answers.ReceivablesShown)
    assert {one["recipient"] for one in found.json["receivables"]} == {"heat", "uk", "waste"}
    mine = await region.send("GET", "/v1/receivables", role="recipient:heat")
    assert {one["recipient"] for one in mine.json["receivables"]} == {"heat"}
    asked = await region.send(
        "POST", "/v1/receivables/heat", role="operator", key="d",
        body={**WHY, "kind": "written_off", "amount": 10},
    )  # fmt: skip
    assert asked.status == 201
    waiting = (await region.send("GET", "/v1/receivables", role="approver")).json["requests"]
    assert [one["id"] for one in waiting] == [asked.json["id"]]
    done = await region.send(
        "POST", f"/v1/debt-requests/{asked.json['id']}/approve", role="approver", key="e", body={}
    )
    assert (done.status, done.json["state"]) == (200, "booked")
    assert (await region.send("GET", "/v1/receivables", role="operator")).json["requests"] == []
