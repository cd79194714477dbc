"""Obligations over HTTP: from the load to both reports, whose key sees what, and bad input."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.api.conftest import Answer, Gateway, bill, payment, recipient, served

UK, HEAT, WASTE = "recipient:uk", "recipient:heat", "recipient:waste"
NOBODYS = "obl_" + "0" * 32


@pytest_asyncio.fixture
async def region(database_url: str) -> AsyncIterator[Gateway]:
    async with served(database_url) as gateway:
        for id_ in ("heat", "waste", "uk"):
            await gateway.send("PUT", f"/v1/recipients/{id_}", recipient(id_), role="operator")
        await gateway.send("POST", "/v1/bills", {"bills": [bill()]}, role="operator", key="b")
        yield gateway


def debt(**changes: Any) -> dict[str, Any]:
    body = {
        "debtor": "uk",
        "creditor": "heat",
        "amount": 3_000,
        "document_number": "УО-17/2026",
        "document_date": "2026-09-30",
        "services": ["heating"],
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


async def load(gateway: Gateway, *told: Any, key: str | None = None) -> Answer:
    body = {"obligations": list(told)}
    used = key or gateway.key()
    return await gateway.send("POST", "/v1/obligations", body, role="operator", key=used)


async def post(gateway: Gateway, path: str, body: Any, role: str, key: str | None = None) -> Answer:
    return await gateway.send("POST", path, body, role=role, key=key or gateway.key())


async def test_a_debt_from_its_load_to_both_reports(region: Gateway) -> None:
    loaded = await load(region, debt(), key="once")
    assert loaded.status == 201
    (one,) = loaded.json["obligations"]
    assert (one["state"], one["remaining"], one["services"]) == ("open", 3_000, ["heating"])
    again = await load(region, debt(), key="once")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (loaded.content, "true")

    await region.pay(payment())
    closed = (await post(region, "/v1/settlement-batches", {}, "operator")).json
    # A twentieth of the heating of 666.67 is the company's: 33.33.
    at = {position["recipient"]: position for position in closed["positions"]}
    assert (at["uk"]["net"], at["uk"]["transferred"], at["uk"]["payable"]) == (3_333, -3_000, 333)
    assert at["heat"]["transferred"] == 3_000
    assert at["heat"]["payable"] == at["heat"]["net"] + 3_000
    (transfer,) = closed["transfers"]
    assert (transfer["obligation"], transfer["amount"]) == (one["id"], 3_000)
    for role, name, sign in ((UK, "heat", -1), (HEAT, "uk", 1)):
        path = f"/v1/settlement-batches/{closed['id']}/reports/{role.partition(':')[2]}"
        told = (await region.send("GET", f"{path}?format=json", role=role)).json
        (row,) = [row for row in told["rows"] if row["kind"] == "obligation"]
        assert (row["counterpart"], row["net_kopecks"]) == (name, sign * 3_000)
        assert (row["document"], row["document_date"]) == ("УО-17/2026", "2026-09-30")
        assert row["obligation"] == one["id"]
        assert sum(row["net_kopecks"] for row in told["rows"]) == told["totals"]["payable"]
    conn = await asyncpg.connect(region.database_url)
    told = await conn.fetch("SELECT content ->> 'transferred' FROM events ORDER BY 1")
    await conn.close()
    assert [row[0] for row in told] == ["-3000", "0", "3000"]
    shown = (await region.send("GET", f"/v1/obligations/{one['id']}", role="auditor")).json
    assert (shown["state"], shown["transferred"]) == ("covered", 3_000)
    assert shown["transfers"][0]["settlement_batch"] == closed["id"]
    approved = await post(region, f"/v1/settlement-batches/{closed['id']}/approve", {}, "approver")
    paid = {payout["recipient"]: payout["amount"] for payout in approved.json["payouts"]}
    assert paid == {name: position["payable"] for name, position in at.items()}


async def test_a_recipient_sees_both_its_sides_and_nobody_elses(region: Gateway) -> None:
    loaded = await load(region, debt(), debt(creditor="waste", document_number="8"))
    first, second = loaded.json["obligations"]

    async def seen(role: str, query: str = "") -> list[str]:
        answer = await region.send("GET", f"/v1/obligations{query}", role=role)
        assert answer.status == 200, answer.content
        return [one["id"] for one in answer.json["obligations"]]

    both = [first["id"], second["id"]]
    assert await seen("operator") == await seen("approver") == await seen(UK) == both
    assert await seen(HEAT) == await seen(HEAT, "?recipient=heat") == both[:1]
    assert await seen(WASTE) == await seen("auditor", "?recipient=waste") == both[1:]
    assert await seen("operator", "?limit=1") == both[:1]
    assert await seen("operator", f"?after={first['number']}") == both[1:]
    assert await seen("operator", "?open=false") == []
    assert (await region.send("GET", "/v1/obligations?recipient=uk", role=HEAT)).code == "forbidden"
    path = f"/v1/obligations/{second['id']}"
    assert (await region.send("GET", path, role=HEAT)).code == "not_found"
    assert (await region.send("GET", path, role=WASTE)).json["amount"] == 3_000
    unknown = await region.send("GET", "/v1/obligations?recipient=nobody", role="operator")
    assert unknown.code == "not_found"


async def test_a_withdrawal_is_asked_by_one_and_approved_by_another(region: Gateway) -> None:
    (one,) = (await load(region, debt())).json["obligations"]
    base = f"/v1/obligations/{one['id']}"
    body = {"amount": 1_000, "reason": "paid by order 17"}
    asked = await post(region, f"{base}/withdraw", body, "operator", key="w")
    assert (asked.status, asked.json["state"]) == (201, "asked")
    assert asked.json["obligation"]["remaining"] == 3_000
    assert (await post(region, f"{base}/withdraw", body, "operator", key="w")).json == asked.json
    path = f"/v1/obligation-withdrawals/{asked.json['id']}/approve"
    approved = await post(region, path, {}, "approver", key="a")
    assert (approved.status, approved.json["state"]) == (200, "approved")
    assert approved.json["obligation"]["remaining"] == 2_000
    assert (await post(region, path, {}, "approver", key="a")).json == approved.json
    assert (await post(region, path, {}, "approver")).code == "state_conflict"
    (seen,) = (await region.send("GET", base, role=HEAT)).json["withdrawals"]
    assert (seen["amount"], seen["reason"]) == (1_000, "paid by order 17")
    assert not {"asked_by", "approved_by"} & set(seen)
    (seen,) = (await region.send("GET", base, role="auditor")).json["withdrawals"]
    assert seen["asked_by"] != seen["approved_by"]


BAD_DEBTS = [
    ({"amount": 0}, "amount_out_of_range"),
    ({"amount": 10**13 + 1}, "amount_out_of_range"),
    ({"amount": 10.0}, "malformed"),
    ({"amount": True}, "malformed"),
    ({"amount": ...}, "malformed"),
    ({"creditor": "uk"}, "malformed"),
    ({"creditor": "nobody"}, "recipient_unknown"),
    ({"debtor": "nobody"}, "recipient_unknown"),
    ({"document_number": ""}, "malformed"),
    ({"document_number": "  "}, "malformed"),
    ({"document_number": "1\n2"}, "malformed"),
    ({"document_number": "1" * 65}, "malformed"),
    ({"document_number": ...}, "malformed"),
    ({"document_date": "2026-13-01"}, "malformed"),
    ({"document_date": "1999-12-31"}, "malformed"),
    ({"services": ["heating", "heating"]}, "malformed"),
    ({"services": [""]}, "malformed"),
    ({"services": ["x" * 65]}, "malformed"),
    ({"services": [f"s{n}" for n in range(65)]}, "malformed"),
    ({"services": ["4111111111111111"]}, "pan_not_allowed"),
    ({"services": "heating"}, "malformed"),
    ({"priority": 1}, "malformed"),
]


@pytest.mark.parametrize(("changes", "code"), BAD_DEBTS)
async def test_bad_debts_are_refused_and_nothing_beside_them_is_loaded(
    region: Gateway, changes: dict[str, Any], code: str
) -> None:
    answer = await load(region, debt(document_number="good"), debt(**changes))
    assert answer.code == code
    listed = await region.send("GET", "/v1/obligations", role="operator")
    assert listed.json == {"obligations": [], "last_number": 0}


async def test_bad_requests(region: Gateway) -> None:
    wrong: list[Any] = [{}, {"obligations": []}, {"obligations": [debt()] * 257}, [], {"x": 1}]
    for told in wrong:
        answer = await post(region, "/v1/obligations", told, "operator")
        assert answer.code == "malformed"
    bare = await region.send("POST", "/v1/obligations", {"obligations": [debt()]}, role="operator")
    assert bare.code == "idempotency_key_missing"
    (one,) = (await load(region, debt())).json["obligations"]
    assert (await load(region, debt())).code == "state_conflict"
    withdraw = f"/v1/obligations/{one['id']}/withdraw"
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "malformed"),
        ({"reason": " "}, "malformed"),
        ({"reason": "x" * 501}, "malformed"),
        ({"reason": "card 4111111111111111"}, "pan_not_allowed"),
        ({"reason": "x", "amount": 0}, "amount_out_of_range"),
        ({"reason": "x", "amount": 3_001}, "state_conflict"),
        ({"reason": "x", "amount": "1"}, "malformed"),
    ]
    for body, code in refused:
        assert (await post(region, withdraw, body, "operator")).code == code, body
    for path in (f"/v1/obligations/{NOBODYS}/withdraw", "/v1/obligations/obl_1/withdraw"):
        assert (await post(region, path, {"reason": "x"}, "operator")).code == "not_found"
    path = f"/v1/obligation-withdrawals/obw_{'0' * 32}/approve"
    assert (await post(region, path, {}, "approver")).code == "not_found"
    for query in ("open=yes", "limit=0", "after=-1", "after=x", "state=open"):
        answer = await region.send("GET", f"/v1/obligations?{query}", role="operator")
        assert answer.code == "malformed", query
    assert (await region.send("GET", f"/v1/obligations/{NOBODYS}", role=UK)).code == "not_found"
