"""Agreements over HTTP: proposed by one, decided by another, shown to whom they concern."""

from typing import Any

import asyncpg
import pytest

from tests.api.conftest import BIC, RECIPIENTS, Gateway, bill, payment, served

HEAT = "recipient:heat"
_, INN, ACCOUNT = RECIPIENTS["uk"]


def agreement(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "recipient": "heat",
        "contract": "Договор № 12/26",
        "valid_from": "2026-01-01",
        "tariffs": [
            {"below": {"ppm": 8_000}},
            {"channel": "card", "above": {"ppm": 10_000}, "below": {"ppm": 4_000}},
            {"payer_category": "pensioner", "below": {"ppm": 12_000}},
        ],
    }
    return body | changes


async def propose(gateway: Gateway, body: dict[str, Any], **by: Any) -> Any:
    how = {"role": "operator", "key": gateway.key()} | by
    return await gateway.send("POST", "/v1/agreements", body, **how)


async def decide(gateway: Gateway, id_: str, what: str, body: Any = None, **by: Any) -> Any:
    how = {"role": "approver", "key": gateway.key()} | by
    return await gateway.send("POST", f"/v1/agreements/{id_}/{what}", body or {}, **how)


async def test_a_version_is_proposed_and_approved_by_two_people(region: Gateway) -> None:
    proposed = await propose(region, agreement(), key="p")
    assert proposed.status == 201, proposed.content
    one = proposed.json
    assert (one["state"], one["proposed_by"], one["decided_by"]) == ("proposed", "operator", None)
    assert one["time_zone"] == "Asia/Barnaul"
    assert one["begins_at"] == "2025-12-31T17:00:00+00:00"
    assert (one["minimum_payout"], one["carry_days"]) == (0, 5)
    again = await propose(region, agreement(), key="p")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (proposed.content, "true")
    approved = await decide(region, one["id"], "approve", {"reason": "checked"}, key="a")
    assert approved.status == 200, approved.content
    told = approved.json
    assert (told["state"], told["decided_by"], told["reason"]) == (
        "approved",
        "approver",
        "checked",
    )
    assert told["terms_version"] > 0
    assert told["tariffs"] == one["tariffs"]
    again = await decide(region, one["id"], "approve", {"reason": "checked"}, key="a")
    assert again.content == approved.content
    for what, body in (("approve", {}), ("reject", {"reason": "late"})):
        late = await decide(region, one["id"], what, body)
        assert (late.status, late.code) == (409, "state_conflict"), what


async def test_nobody_decides_on_what_the_same_name_proposed(region: Gateway) -> None:
    conn = await asyncpg.connect(region.database_url)
    try:
        # Another key, of another role, but the same person.
        await conn.execute("UPDATE callers SET name = 'operator' WHERE name = 'approver'")
    finally:
        await conn.close()
    async with served(region.database_url, callers=False) as other:
        other.secrets.update(region.secrets)
        one = (await propose(other, agreement(), key="mine")).json
        for what, body in (("approve", {}), ("reject", {"reason": "mine"})):
            answer = await decide(other, one["id"], what, body, key=what)
            assert (answer.status, answer.code) == (403, "forbidden"), what


async def test_the_database_itself_wants_two_people(region: Gateway) -> None:
    one = (await propose(region, agreement())).json
    id_ = one["id"].removeprefix("agr_")
    conn = await asyncpg.connect(region.database_url)
    try:
        decided = (
            "INSERT INTO agreement_decisions SELECT a.id, 'approved', 99, now(), c.number, $2,"
            " a.proposed_by_name FROM agreements AS a, callers AS c"
            " WHERE a.id = $1::text::uuid AND c.name = $3"
        )
        for name, caller, error in (
            ("operator", "operator", asyncpg.CheckViolationError),
            ("approver", "operator", asyncpg.RaiseError),
        ):
            with pytest.raises(error):
                await conn.execute(decided, id_, name, caller)
        for change in ("UPDATE agreements SET carry_days = 6", "DELETE FROM agreement_tariffs"):
            with pytest.raises(asyncpg.RaiseError):
                await conn.execute(change)
    finally:
        await conn.close()


async def test_a_rejected_version_is_never_in_force(region: Gateway) -> None:
    one = (await propose(region, agreement())).json
    bare = await decide(region, one["id"], "reject")
    assert (bare.status, bare.code) == (400, "malformed")
    rejected = await decide(region, one["id"], "reject", {"reason": "ошибка в ставке"})
    assert (rejected.json["state"], rejected.json["terms_version"]) == ("rejected", None)
    late = await decide(region, one["id"], "approve")
    assert (late.status, late.code) == (409, "state_conflict")


@pytest.mark.parametrize(
    ("what", "changes", "status", "code"),
    [
        ("nobody", {"recipient": None}, 400, "malformed"),
        ("two parties", {"acquirer": "acquirer"}, 400, "malformed"),
        ("a stranger", {"recipient": "nobody"}, 422, "recipient_unknown"),
        ("an acquirer without a key",
         {"recipient": None, "acquirer": "nobody", "tariffs": []}, 422, "recipient_unknown"),
        ("an acquirer who takes from above",
         {"recipient": None, "acquirer": "acquirer"}, 400, "malformed"),
        ("no contract", {"contract": " "}, 400, "malformed"),
        ("a card number", {"contract": "4111 1111 1111 1111"}, 422, "pan_not_allowed"),
        ("an end before its beginning", {"valid_until": "2025-12-31"}, 400, "malformed"),
        ("a day of no year", {"valid_from": "1999-12-31"}, 400, "malformed"),
        ("no zone", {"time_zone": "Barnaul"}, 400, "malformed"),
        ("a path for a zone", {"time_zone": "../../etc/passwd"}, 400, "malformed"),
        ("no time", {"cut_off": "24:00"}, 400, "malformed"),
        ("a channel that is none", {"tariffs": [{"channel": "fax"}]}, 400, "malformed"),
        ("a cell twice", {"tariffs": [{"channel": "card"}, {"channel": "card"}]}, 400, "malformed"),
        ("a fee above all", {"tariffs": [{"above": {"ppm": 1_000_001}}]}, 422, "fee_out_of_range"),
        ("a fee of a fraction", {"tariffs": [{"above": {"ppm": 0.5}}]}, 400, "malformed"),
        ("a minimum below zero", {"minimum_payout": -1}, 422, "amount_out_of_range"),
        ("too many days", {"carry_days": 32}, 400, "malformed"),
        ("a second level above all",
         {"second_level": [{"recipient": "uk", "ppm": 600_000}] * 2}, 422,
         "second_level_out_of_range"),
        ("a second level to a stranger",
         {"second_level": [{"recipient": "nobody", "ppm": 1}]}, 422, "recipient_unknown"),
        ("a wrong account",
         {"requisites": {"name": "ООО", "inn": INN,
                         "bank_account": {"bic": BIC, "number": ACCOUNT[:-1] + "1"}}}, 422,
         "account_key_invalid"),
        ("a report of no format", {"report_format": "pdf"}, 400, "malformed"),
    ],
)  # fmt: skip
async def test_what_is_no_agreement_is_refused(
    region: Gateway, what: str, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = await propose(region, agreement(**changes))
    assert (answer.status, answer.code) == (status, code), (what, answer.content)
    listed = await region.send("GET", "/v1/agreements", role="operator")
    assert listed.json == {"agreements": [], "next_cursor": None}


async def test_a_recipient_sees_its_own_alone(region: Gateway) -> None:
    mine = (await propose(region, agreement())).json["id"]
    other = (await propose(region, agreement(recipient="waste"))).json["id"]
    listed = await region.send("GET", "/v1/agreements", role=HEAT)
    assert [one["id"] for one in listed.json["agreements"]] == [mine]
    for id_, status in ((mine, 200), (other, 404)):
        assert (await region.send("GET", f"/v1/agreements/{id_}", role=HEAT)).status == status
    for query in ("recipient=waste", "acquirer=acquirer"):
        answer = await region.send("GET", f"/v1/agreements?{query}", role=HEAT)
        assert (answer.status, answer.code) == (403, "forbidden"), query


async def test_the_history_comes_in_pages(region: Gateway) -> None:
    made = [
        (await propose(region, agreement(valid_from=f"2026-0{month}-01"))).json["id"]
        for month in range(1, 6)
    ]
    await decide(region, made[0], "approve")
    read: list[str] = []
    cursor = ""
    while True:
        page = await region.send("GET", f"/v1/agreements?limit=2{cursor}", role="auditor")
        read += [one["id"] for one in page.json["agreements"]]
        if page.json["next_cursor"] is None:
            break
        cursor = f"&cursor={page.json['next_cursor']}"
    assert read == made[::-1]
    approved = await region.send("GET", "/v1/agreements?state=approved", role="operator")
    assert [one["id"] for one in approved.json["agreements"]] == made[:1]
    wrong = await region.send("GET", "/v1/agreements?state=agreed", role="operator")
    assert (wrong.status, wrong.code) == (400, "malformed")


async def test_a_bill_says_who_its_payer_is_and_the_payment_what_it_was_split_by(
    region: Gateway,
) -> None:
    cells = [
        {"below": {"ppm": 8_000}},
        {"channel": "card", "above": {"fixed": 5_000}},
        {"payer_category": "pensioner", "below": {"ppm": 30_000}},
    ]
    one = (await propose(region, agreement(tariffs=cells))).json
    await decide(region, one["id"], "approve")
    bills = [bill("220099999", payer_category="pensioner")]
    loaded = await region.send(
        "POST", "/v1/bills", {"bills": bills}, role="operator", key=region.key()
    )
    assert loaded.json == {"accepted": 1, "refused": []}
    usual = (await region.pay(payment())).json
    exempt = (await region.pay(payment(subscriber_account="220099999"))).json
    assert (usual["surcharge"], exempt["surcharge"]) == (5_000, 0)
    heat = {
        told["subscriber_account"]: {one["recipient"]: one for one in told["recipients"]}["heat"]
        for told in (usual, exempt)
    }
    assert heat["220012345"]["commission"] == 0
    assert heat["220099999"]["commission"] == (heat["220099999"]["gross"] * 3 + 50) // 100
    told = await region.send("GET", f"/v1/payments/{usual['id']}/agreements", role="auditor")
    assert [(mine["id"], mine["recipient"]) for mine in told.json["agreements"]] == [
        (one["id"], "heat")
    ]
    missing = await region.send("GET", f"/v1/payments/pay_{'0' * 32}/agreements", role="operator")
    assert (missing.status, missing.code) == (404, "not_found")
    strange = [
        bill("220099998", payer_category=category)
        for category in ("", "x" * 65, "a\nb", "4111111111111111")
    ]
    refused = await region.send(
        "POST", "/v1/bills", {"bills": strange}, role="operator", key=region.key()
    )
    codes = [line["code"] for line in refused.json["refused"]]
    assert codes == ["malformed"] * 3 + ["pan_not_allowed"]


async def test_the_acquirers_fee_is_the_centres_cost_alone(region: Gateway) -> None:
    before = (await region.pay(payment())).json
    body = {
        "acquirer": "acquirer",
        "contract": "Эквайринг 1",
        "valid_from": "2026-01-01",
        "tariffs": [{"channel": "card", "below": {"ppm": 16_800, "min": 100}}],
    }
    one = (await propose(region, {**agreement(), **body, "recipient": None})).json
    assert (await decide(region, one["id"], "approve")).status == 200
    after = [(await region.pay(payment())).json, (await region.pay(payment())).json]
    cash = payment(method={"type": "cash", "terminal": "T-1"})
    after.append((await region.pay(cash)).json)
    assert {told["surcharge"] for told in (before, *after)} == {0}
    assert sum(one["commission"] for told in after for one in told["recipients"]) == 0
    closed = await region.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    path = f"/v1/settlement-batches/{closed.json['id']}/acquirer-fees"
    told = (await region.send("GET", path, role="operator")).json
    card = {one["channel"]: one for one in told["acquirers"]}["card"]
    each = (before["total"] * 16_800 + 500_000) // 1_000_000
    assert (card["payments"], card["fee"], told["fee"]) == (3, 2 * each, 2 * each)
    paid = sum(one["net"] for one in closed.json["positions"])
    assert paid == sum(told["amount"] for told in (before, *after))


async def test_a_report_comes_in_the_form_that_was_agreed(region: Gateway) -> None:
    await region.pay(payment())
    closed = await region.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    path = f"/v1/settlement-batches/{closed.json['id']}/reports/heat"
    for form, begins in ((None, b"\xef\xbb\xbf"), ("json", b"{"), ("xlsx", b"PK")):
        if form is not None:
            one = (await propose(region, agreement(report_format=form))).json
            await decide(region, one["id"], "approve")
        told = await region.send("GET", path, role=HEAT)
        assert (told.status, told.content[: len(begins)]) == (200, begins), form
    asked = await region.send("GET", path + "?format=csv", role=HEAT)
    assert asked.content.startswith(b"\xef\xbb\xbf")
    wrong = await region.send("GET", path + "?format=", role=HEAT)
    assert (wrong.status, wrong.code) == (400, "malformed")
