"""A restore over HTTP: who holds settlement, what is shown of it, and who lets it go on."""

from typing import Any

import asyncpg

from gateway.payouts.centre import TRIAL_CENTRE
from tests.api.conftest import Gateway
from tests.api.test_bank_statements import approved, take
from tests.payouts.statement_files import Told, one_c

PATH = "/v1/restores"
LOST = "sb_" + "0123456789abcdef" * 2


async def post(region: Gateway, path: str, body: Any, role: str = "operator") -> Any:
    return await region.send("POST", path, body, role=role, key=region.key())


async def test_from_a_line_of_the_bank_to_a_batch_that_nets_it(region: Gateway) -> None:
    before = await region.send("GET", PATH, role="auditor")
    assert before.json == {
        "held": False, "restores": [], "lifts": [], "statements": [], "lines": [],
    }  # fmt: skip
    conn = await asyncpg.connect(region.database_url)
    account = await conn.fetchval("SELECT account FROM recipients WHERE id = 'heat'")
    await conn.close()
    told = Told("912", 5_000, account, f"Перечисление платежей, реестр 9 ({LOST}). НДС нет")
    taken = await take(region, one_c([told], own=TRIAL_CENTRE.account))
    assert [one["kind"] for one in taken.json["discrepancies"]] == ["paid-before-restore"]
    held = (await region.send("GET", PATH, role="approver")).json
    (restore,), (line,), (statement,) = held["restores"], held["lines"], held["statements"]
    assert (held["held"], restore["found"]) == (True, "statement")
    assert LOST in restore["detail"]
    assert statement["id"] == taken.json["id"] == line["statement"]
    assert (line["state"], line["recipient"], line["owed"]) == ("ready", "heat", -5_000)

    closed = await post(region, "/v1/settlement-batches", {})
    path = f"/v1/settlement-batches/{closed.json['id']}"
    refused = await post(region, f"{path}/approve", {"override": "why not"}, "approver")
    assert (refused.status, refused.code) == (409, "state_conflict")
    twice = await post(region, PATH, {"reason": "PITR to noon"})
    assert (twice.status, twice.code) == (409, "state_conflict")

    lift = f"{PATH}/{restore['id']}/lift"
    body = {"reason": "all statements are taken", "document": "statement 12"}
    asked = await post(region, lift, body)
    assert (asked.status, asked.json["state"]) == (201, "asked")
    waiting = (await region.send("GET", PATH, role="auditor")).json["lifts"]
    assert [(one["id"], one["asked_by"]) for one in waiting] == [(asked.json["id"], "operator")]
    approve = f"/v1/restore-lifts/{asked.json['id']}/approve"
    lifted = await post(region, approve, b"", "approver")
    assert (lifted.status, lifted.json["state"]) == (200, "lifted")
    late = await post(region, lift, body)
    assert (late.status, late.code) == (409, "state_conflict")
    found = (await region.send("GET", PATH, role="auditor")).json
    assert (found["held"], found["lines"][0]["state"]) == (False, "booked")
    assert found["restores"][0]["approved_by"] == "approver"
    assert found["restores"][0]["document"] == "statement 12"

    path = await approved(region)
    shown = (await region.send("GET", path, role="operator")).json
    (booked,) = shown["paid_before"]
    assert (booked["recipient"], booked["amount"], booked["line"]) == ("heat", -5_000, 1)
    position = next(one for one in shown["positions"] if one["recipient"] == "heat")
    assert position["returned"] == -5_000
    assert position["payable"] + position["carried_out"] == position["net"] - 5_000
    report = await region.send("GET", f"{path}/reports/heat?format=json", role="recipient:heat")
    assert [one["amount"] for one in report.json["paid_before"]] == [-5_000]
    others = await region.send("GET", f"{path}/reports/waste?format=json", role="operator")
    assert "paid_before" not in others.json
    own = (await region.send("GET", path, role="recipient:heat")).json
    assert own["paid_before"] == [
        {"amount": -5_000, "booked_on": booked["booked_on"], "order_number": "912"}
    ]


async def test_what_is_no_decision_is_refused(region: Gateway) -> None:
    for body, code in (
        ({}, "malformed"),
        ({"reason": " "}, "malformed"),
        ({"reason": "card 4111 1111 1111 1111"}, "pan_not_allowed"),
        ({"reason": "so", "at": "noon"}, "malformed"),
    ):
        refused = await post(region, PATH, body)
        assert refused.code == code
    said = await post(region, PATH, {"reason": "PITR to noon"})
    assert (said.status, said.json["held"]) == (201, True)
    assert said.json["restores"][0]["said_by"] == "operator"
    restore = f"{PATH}/{said.json['restores'][0]['id']}"
    good = {"statement": "bst_" + "0" * 32, "line": 1, "recipient": None, "reason": "so"}
    for change, status in (
        ({}, 404),
        ({"statement": "bst_1"}, 400),
        ({"line": 0}, 400),
        ({"line": 10**12}, 400),
        ({"line": "1"}, 400),
        ({"recipient": 5}, 400),
    ):
        answer = await post(region, f"{restore}/lines", {**good, **change})
        assert answer.status == status, change
    assert (await post(region, f"{PATH}/rst_{'0' * 32}/lift", LIFT)).status == 404
    assert (await post(region, f"{PATH}/rst_x/lift", LIFT)).status == 404
    unknown = f"/v1/restore-lifts/lft_{'0' * 32}/approve"
    assert (await post(region, unknown, b"", "approver")).status == 404


LIFT = {"reason": "so", "document": "12"}
