"""Four ways over HTTP: paid online, reported, arrived, paid out; and what does not agree."""

import io
from datetime import date
from typing import Any

import asyncpg
import pytest

from gateway.audit import report as audit_report
from gateway.domain.clock import SystemClock
from gateway.flows import reconcile
from gateway.payouts.centre import TRIAL_CENTRE
from tests.acquirer_reports.files import Told as Row
from tests.acquirer_reports.files import qiwi, sber12
from tests.api.conftest import Answer, Gateway, bill, payment, served
from tests.api.test_agreements import agreement, decide, propose
from tests.payouts.statement_files import Told, camt053, one_c

OWN = TRIAL_CENTRE.account
BANK = "40702810200203001037"
INN = "7707083893"
ORDER_DAY = date(2026, 11, 13)
TERMS = {"comes": "by_report", "payer_account": BANK, "payer_inn": INN, "contract": "77-К"}
PURPOSE = "Перечисление по договору 77-К за 12.11.2026. НДС не облагается"
EVIDENCE = {"name": "Акт сверки", "number": "17", "date": "2026-11-20", "text": "Сошлось"}


async def terms(gateway: Gateway, name: str = "acquirer", **changes: Any) -> Answer:
    body = TERMS | changes
    return await gateway.send("PUT", f"/v1/arrival-terms/{name}", body, role="operator")


async def reported(gateway: Gateway, content: str) -> dict[str, Any]:
    answer = await gateway.send(
        "POST", "/v1/acquirer-reports", io.BytesIO(content.encode("cp1251")),
        role="acquirer", key=gateway.key(), headers={"Content-Type": "text/csv"},
    )  # fmt: skip
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


async def stated(gateway: Gateway, *told: Told, write: Any = one_c) -> dict[str, Any]:
    answer = await gateway.send(
        "POST", "/v1/bank-statements", write(told, own=OWN), role="operator", key=gateway.key(),
        headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


def came(amount: int, number: str = "778", **changes: Any) -> Told:
    usual: dict[str, Any] = {
        "number": number, "amount": amount, "other": BANK, "inn": INN, "came": True,
        "drawn": ORDER_DAY, "booked": ORDER_DAY, "purpose": PURPOSE,
    }  # fmt: skip
    return Told(**(usual | changes))


async def paid(gateway: Gateway, reference: str, amount: int = 100_000, **changes: Any) -> str:
    answer = await gateway.pay(payment(reference=reference, amount=amount, **changes))
    assert answer.status == 201, answer.content
    return str(answer.json["id"])


async def arrival(gateway: Gateway, id_: str, role: str = "acquirer") -> dict[str, Any]:
    answer = await gateway.send("GET", f"/v1/payments/{id_}/arrival", role=role)
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


async def worklist(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    answer = await gateway.send("GET", f"/v1/discrepancies{query}", role="auditor")
    assert answer.status == 200, answer.content
    found: list[dict[str, Any]] = answer.json["discrepancies"]
    return found


async def kinds(gateway: Gateway, query: str = "") -> list[str]:
    return sorted(one["kind"] for one in await worklist(gateway, query))


async def day(gateway: Gateway, of: str = "2026-11-12") -> dict[str, Any]:
    answer = await gateway.send("GET", f"/v1/reconciliation?day={of}", role="auditor")
    assert answer.status == 200, answer.content
    for one in answer.json["acquirers"]:
        taken = one["online"] + one["by_report_alone"]
        assert taken == one["reported"] + one["not_reported"]
        assert taken == one["arrived"] + one["not_arrived"]
        names = "paid_out in_transit not_paid commission surcharge suspense refunded"
        assert taken == sum(one[name] for name in names.split())
    found: dict[str, Any] = {one["acquirer"]: one for one in answer.json["acquirers"]}
    return found


async def audited(gateway: Gateway) -> None:
    conn = await asyncpg.connect(gateway.database_url)
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            found = await audit_report.audit(conn)
    finally:
        await conn.close()
    assert found["problems"] == []


async def closed(gateway: Gateway) -> str:
    answer = await gateway.send(
        "POST", "/v1/settlement-batches", {}, role="operator", key=gateway.key()
    )
    return f"/v1/settlement-batches/{answer.json['id']}"


async def late(gateway: Gateway, days: int) -> None:
    """What the gateway's own task notes when so many days have passed."""
    context = gateway.door._house.context
    clock = SystemClock()

    class Later(SystemClock):
        def now(self) -> Any:
            from datetime import timedelta

            return clock.now() + timedelta(days=days)

    object.__setattr__(context, "clock", Later())
    try:
        await reconcile.match_all(context)
        await reconcile.note_late(context)
    finally:
        object.__setattr__(context, "clock", clock)


@pytest.mark.parametrize("write", [one_c, camt053])
async def test_a_day_four_ways(region: Gateway, write: Any) -> None:
    assert (await terms(region)).status == 200
    first, second = await paid(region, "op-1"), await paid(region, "op-2", 20_000)
    other = await paid(region, "op-3", 700)
    assert (await arrival(region, first))["arrival"] == "awaited"
    rows = [Row("op-1", "220012345", 100_000, fee=800), Row("op-2", "220012345", 20_000, fee=160)]
    rows.append(Row("op-9", "220012345", 5_000, fee=40))
    report = await reported(region, sber12(rows))
    assert (report["matched"], report["created"]) == (2, 1)
    assert (await arrival(region, first))["arrival"] == "reported"
    sides = (await day(region))["acquirer"]
    assert (sides["online"], sides["by_report_alone"]) == (120_700, 5_000)
    assert (sides["reported"], sides["not_reported"], sides["arrived"]) == (125_000, 700, 0)

    told = await stated(region, came(124_000), write=write)
    (line,) = told["incoming"]
    assert (line["acquirer"], line["amount"], told["discrepancies"]) == ("acquirer", 124_000, [])
    for id_ in (first, second):
        found = await arrival(region, id_, "operator")
        assert (found["arrival"], found["report"]) == ("arrived", report["id"])
        assert [one["amount"] for one in found["lines"]] == [124_000]
        assert (await arrival(region, id_))["lines"] == []
    assert (await arrival(region, other))["arrival"] == "disputed"
    # The same movement again, in whichever form, changes nothing.
    for form in (one_c, camt053):
        again = await stated(region, came(124_000), Told("5", 1, BANK), write=form)
        assert (again["known"], again["incoming"]) == (1, [])
    assert (await day(region))["acquirer"]["arrived"] == 125_000
    batch = await closed(region)
    answer = await region.send("POST", f"{batch}/approve", {}, role="approver", key="a")
    assert answer.status == 200, answer.content
    assert (await day(region))["acquirer"]["in_transit"] == 120_000 + 5_000 + 700
    await audited(region)


async def test_money_may_come_before_its_report_and_in_several_lines(region: Gateway) -> None:
    await terms(region)
    id_ = await paid(region, "op-1")
    await stated(region, came(60_000), came(39_000, "779"))
    assert await kinds(region) == ["money-without-report"] * 2
    await reported(region, sber12([Row("op-1", "220012345", 100_000, fee=1_000)]))
    found = await arrival(region, id_, "auditor")
    assert (found["arrival"], len(found["lines"])) == ("arrived", 2)
    assert await worklist(region) == []
    await audited(region)


async def test_one_line_for_several_reports(region: Gateway) -> None:
    await terms(region)
    one, two = await paid(region, "op-1"), await paid(region, "op-2", 20_000)
    await reported(region, sber12([Row("op-1", "220012345", 100_000, fee=800)]))
    await reported(region, sber12([Row("op-2", "220012345", 20_000, fee=160)]))
    await stated(region, came(119_040))
    assert [(await arrival(region, id_))["arrival"] for id_ in (one, two)] == ["arrived"] * 2
    await audited(region)


async def test_a_kopeck_less_is_a_fee_that_differs(region: Gateway) -> None:
    await terms(region)
    id_ = await paid(region, "op-1")
    report = await reported(region, sber12([Row("op-1", "220012345", 100_000, fee=800)]))
    await stated(region, came(99_199))
    (found,) = await worklist(region, "?kind=fee-differs&side=acquirer")
    assert (found["amount"], found["report"]) == (99_199, report["id"])
    assert (await arrival(region, id_))["arrival"] == "reported"
    await audited(region)


async def test_whose_money_it_is_takes_all_that_the_terms_name(region: Gateway) -> None:
    await terms(region)
    await paid(region, "op-1")
    await reported(region, sber12([Row("op-1", "220012345", 100_000)]))
    told = await stated(
        region,
        came(100_000, inn="7802532605"),
        came(100_000, other="40702810952090030727"),
        came(100_000, purpose="Перечисление по договору 77-К1 за 12.11.2026"),
    )
    assert told["incoming"] == []
    assert {one["kind"] for one in told["discrepancies"]} == {"unknown-credit"}


async def test_the_agreed_fee_and_files_that_do_not_tell_it(region: Gateway) -> None:
    await terms(region, fee_ppm=8_000)
    id_ = await paid(region, "11", 50_001)
    await reported(region, qiwi([Row("11", "220012345", 50_001)]))
    # 0.8 % of 500.01 is 4.00008: neither 3.99 nor 4.01.
    await stated(region, came(49_600, "5"))
    assert (await arrival(region, id_))["arrival"] == "reported"
    await stated(region, came(49_601, "6"))
    assert (await arrival(region, id_))["arrival"] == "arrived"
    await reported(region, sber12([Row("op-5", "220012345", 100_000, fee=801)]))
    await late(region, 0)
    assert "fee-differs" in await kinds(region)
    await audited(region)


async def test_a_fee_taken_apart(region: Gateway) -> None:
    await terms(region, fee="apart")
    id_ = await paid(region, "op-1")
    await reported(region, sber12([Row("op-1", "220012345", 100_000, fee=800)]))
    fee = came(800, "9", came=False, purpose="Комиссия по договору 77-К за 12.11.2026")
    told = await stated(region, came(100_000), fee)
    assert [one["is_fee"] for one in told["incoming"]] == [False, True]
    assert (await arrival(region, id_))["arrival"] == "arrived"
    assert await worklist(region) == []
    await audited(region)


async def test_a_line_a_payment(region: Gateway) -> None:
    await terms(region, comes="by_payment", contract=None, fee_ppm=4_000)
    one, two = await paid(region, "200648", 3_806_00), await paid(region, "200649", 1_000)
    code = "AD10006CNPC123VU91QOFVNA560V6G37"
    words = f"200648 IPS MA0000000279 [{{}} - {code} - 0079066312345] за 12/11/26"
    await stated(
        region,
        came(3_806_00 - 15_22, "1", purpose=words.format("200648")),
        came(900, "2", purpose=words.format("200649").replace(code, "")),
    )
    assert (await arrival(region, one))["arrival"] == "arrived"
    assert (await arrival(region, two))["arrival"] == "awaited"
    assert await kinds(region) == ["money-without-report"]
    back = await terms(region)
    assert (back.status, back.code) == (409, "state_conflict")
    conn = await asyncpg.connect(region.database_url)
    assert "9066312345" not in str(await conn.fetch("SELECT * FROM incoming_money"))
    await conn.close()
    await late(region, 10)
    assert (await arrival(region, two))["arrival"] == "disputed"
    await audited(region)


async def test_what_is_late_is_noted_once_and_settled_by_what_comes(region: Gateway) -> None:
    await terms(region, report_days=2, arrival_days=4)
    await paid(region, "op-1")
    await paid(region, "op-2", 20_000)
    await late(region, 1)
    assert await worklist(region) == []
    for _ in range(2):
        await late(region, 3)
        assert await kinds(region) == ["not-reported"] * 2
    rows = [Row("op-1", "220012345", 100_000), Row("op-2", "220012345", 20_000)]
    await reported(region, sber12(rows))
    assert await worklist(region) == []
    assert await kinds(region, "?state=settled") == ["not-reported"] * 2
    await late(region, 5)
    assert await kinds(region, "?older_than=0") == ["money-not-arrived"]
    assert await worklist(region, "?older_than=1") == []
    await stated(region, came(120_000))
    assert await worklist(region) == []
    await audited(region)


async def test_a_resolution_needs_a_document_and_two_people(region: Gateway) -> None:
    await terms(region)
    await stated(region, came(500))
    (one,) = await worklist(region)
    path = f"/v1/discrepancies/{one['id']}"
    body = {"outcome": "explained", "evidence": EVIDENCE}
    for change, code in (
        ({"text": None}, "malformed"),
        ({"sha256": "00"}, "malformed"),
        ({"text": "\x00"}, "malformed"),
        ({"name": " "}, "malformed"),
        ({"number": ""}, "malformed"),
        ({"text": "card 4111 1111 1111 1111"}, "pan_not_allowed"),
    ):
        wrong = {"outcome": "explained", "evidence": EVIDENCE | change}
        answer = await region.send("POST", f"{path}/resolve", wrong, role="operator", key="x")
        assert answer.code == code, answer.content
    early = await region.send("POST", f"{path}/confirm", {}, role="approver", key="early")
    assert (early.status, early.code) == (409, "state_conflict")
    told = await region.send("POST", f"{path}/resolve", body, role="operator", key="r")
    assert (told.status, told.json["state"]) == (200, "proposed")
    twice = await region.send("POST", f"{path}/resolve", body, role="operator2", key="r2")
    assert (twice.status, twice.code) == (409, "state_conflict")
    no = await region.send("POST", f"{path}/reject", {"reason": "no"}, role="approver", key="n")
    assert (no.status, no.json["state"]) == (200, "open")
    await region.send("POST", f"{path}/resolve", body, role="operator", key="r3")
    # The same person by a key of the other role.
    conn = await asyncpg.connect(region.database_url)
    await conn.execute(
        "UPDATE callers SET name = 'approver' WHERE name = 'operator' AND role = 'operator'"
    )
    same = await region.send("POST", f"{path}/confirm", {}, role="approver", key="c1")
    assert (same.status, same.code) == (403, "forbidden")
    await conn.execute(
        "UPDATE callers SET name = 'operator' WHERE name = 'approver' AND role = 'operator'"
    )
    with pytest.raises(asyncpg.RaiseError):
        await conn.execute("UPDATE discrepancy_steps SET outcome = 'corrected'")
    await conn.close()
    done = await region.send("POST", f"{path}/confirm", {}, role="approver", key="c2")
    assert (done.status, done.json["state"]) == (200, "resolved")
    again = await region.send("POST", f"{path}/confirm", {}, role="approver", key="c2")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (done.content, "true")
    steps = [step["step"] for step in done.json["steps"]]
    assert steps == ["resolve", "reject", "resolve", "confirm"]
    assert done.json["steps"][0]["evidence"]["number"] == "17"
    assert await worklist(region) == []
    await audited(region)


async def test_payouts_wait_for_the_money_where_that_is_set(region: Gateway) -> None:
    async with served(
        region.database_url, callers=False, hold_payouts_until_arrived="yes"
    ) as holding:
        holding.secrets, holding.keys = region.secrets, 1_000
        id_ = await paid(region, "op-1")
        path = await closed(region)
        body = {"override": "it will come"}
        told = await holding.send("POST", f"{path}/approve", body, role="approver", key="1")
        assert (told.status, told.code) == (409, "state_conflict")
        assert id_ in told.json["detail"]
        assert "no arrival terms" in told.json["detail"]
        await terms(region)
        await reported(region, sber12([Row("op-1", "220012345", 100_000, fee=800)]))
        told = await holding.send("POST", f"{path}/approve", {}, role="approver", key="2")
        assert told.status == 409
        await stated(region, came(99_200))
        told = await holding.send("POST", f"{path}/approve", {}, role="approver", key="3")
        assert told.status == 200, told.content
        # The control: without the setting nobody waits.
        await paid(region, "op-2", 500)
        free = await closed(region)
        told = await region.send("POST", f"{free}/approve", {}, role="approver", key="4")
        assert told.status == 200
        # What two people have written off is not waited for.
        await paid(region, "op-3", 500)
        third = await closed(region)
        await late(region, 10)
        told = await holding.send("POST", f"{third}/approve", {}, role="approver", key="5")
        assert told.status == 409
        for one in await worklist(region, "?kind=not-reported"):
            at = f"/v1/discrepancies/{one['id']}"
            said = {"outcome": "written_off", "evidence": EVIDENCE}
            await region.send("POST", f"{at}/resolve", said, role="operator", key=region.key())
            await region.send("POST", f"{at}/confirm", {}, role="approver", key=region.key())
        told = await holding.send("POST", f"{third}/approve", {}, role="approver", key="6")
        assert told.status == 200, told.content
        await audited(region)


async def test_own_money_is_there_when_it_is_taken(region: Gateway) -> None:
    answer = await region.send(
        "PUT", "/v1/arrival-terms/acquirer", {"comes": "own"}, role="operator"
    )
    assert answer.status == 200, answer.content
    assert (await arrival(region, await paid(region, "op-1")))["arrival"] == "arrived"
    await late(region, 30)
    assert await worklist(region) == []


async def test_bad_input_and_what_is_others(region: Gateway) -> None:
    for change, code in (
        ({"payer_account": None, "payer_inn": None}, "malformed"),
        ({"payer_account": "1"}, "malformed"),
        ({"payer_inn": "7707083890"}, "inn_invalid"),
        ({"contract": " x"}, "malformed"),
        ({"contract": "x\x00y"}, "malformed"),
        ({"fee_ppm": 1_000_001}, "malformed"),
        ({"comes": "soon"}, "malformed"),
        ({"arrival_days": 0}, "malformed"),
    ):
        answer = await terms(region, **change)
        assert answer.code == code, answer.content
    assert (await terms(region, "nobody")).code == "not_found"
    missing = await region.send("GET", "/v1/arrival-terms/acquirer2", role="operator")
    assert missing.code == "not_found"
    id_ = await paid(region, "op-1")
    path = f"/v1/payments/{id_}/arrival"
    assert (await region.send("GET", path, role="acquirer2")).code == "not_found"
    for query in (
        "?state=x",
        "?side=x",
        "?older_than=-1",
        "?limit=0",
        "?x=1",
        "?acquirer=",
        "?acquirer=" + "0" * 65,
    ):
        answer = await region.send("GET", f"/v1/discrepancies{query}", role="operator")
        assert answer.code == "malformed", query
    for query in ("?day=", "?day=12.11.2026", "?day=2026-02-30", "?acquirer=" + "0" * 65):
        answer = await region.send("GET", f"/v1/reconciliation{query}", role="operator")
        assert answer.code == "malformed", query
    for name in ("x", "dis_line_0_1", f"dis_line_{'0' * 32}_1", f"dis_line_{'0' * 32}_9999999999"):
        answer = await region.send("GET", f"/v1/discrepancies/{name}", role="operator")
        assert answer.code == "not_found", name


async def test_pages_of_the_worklist(region: Gateway) -> None:
    await terms(region)
    await stated(region, *(came(100 + n, str(n + 1)) for n in range(5)))
    seen, cursor = [], ""
    while True:
        answer = await region.send("GET", f"/v1/discrepancies?limit=2{cursor}", role="operator")
        seen += [one["id"] for one in answer.json["discrepancies"]]
        if answer.json["next_cursor"] is None:
            break
        cursor = f"&cursor={answer.json['next_cursor']}"
    assert len(seen) == len(set(seen)) == 5


async def test_the_sides_add_up_with_refunds_and_suspense(region: Gateway) -> None:
    loaded = {"bills": [bill("220012346")]}
    await region.send("POST", "/v1/bills", loaded, role="operator", key=region.key())
    one = await paid(region, "op-1", 30_003)
    held = await paid(region, "op-2", 7_777, subscriber_account="999")
    await paid(region, "op-3", 111, subscriber_account="998")
    for id_, amount in ((one, 1_001), (held, 77)):
        answer = await region.send(
            "POST", f"/v1/payments/{id_}/refunds", {"amount": amount}, role="acquirer",
            key=region.key(),
        )  # fmt: skip
        assert answer.status == 201, answer.content
    sides = (await day(region))["acquirer"]
    assert (sides["suspense"], sides["refunded"]) == (7_700 + 111, 1_078)
    body = {"subscriber_account": "220012346"}
    answer = await region.send(
        "POST", f"/v1/payments/{held}/resolve", body, role="operator", key=region.key()
    )
    assert answer.status == 200, answer.content
    assert (await day(region))["acquirer"]["suspense"] == 111


async def test_money_that_waited_or_was_cancelled_is_of_the_payout_that_paid_it(
    region: Gateway,
) -> None:
    minimum = agreement(tariffs=[], minimum_payout=90_000)
    proposed = (await propose(region, minimum)).json
    assert (await decide(region, proposed["id"], "approve")).status == 200
    await paid(region, "op-1", 60_000)

    async def settled() -> str:
        path = await closed(region)
        told = await region.send("POST", f"{path}/approve", {}, role="approver", key=region.key())
        assert told.status == 200, told.content
        return path

    async def stands() -> tuple[int, int]:
        sides = (await day(region))["acquirer"]
        return sides["in_transit"], sides["not_paid"]

    await settled()
    transit, waits = await stands()
    assert 0 < waits < 60_000
    # Of another day: it lifts the supplier over its minimum, and is none of this day's money.
    later = "2026-11-13T09:31:07+07:00"
    await paid(region, "op-2", 200_000, paid_at=later)
    path = await settled()
    assert await stands() == (transit + waits, 0)
    told = await region.send("POST", f"{path}/cancel", {"reason": "by mistake"}, role="approver",
                             key=region.key())  # fmt: skip
    assert told.status == 200, told.content
    assert await stands() == (transit, waits)
    await settled()
    assert await stands() == (transit + waits, 0)
    await audited(region)


async def test_what_was_charged_back_is_not_waited_for(region: Gateway) -> None:
    async with served(
        region.database_url, callers=False, hold_payouts_until_arrived="yes"
    ) as holding:
        holding.secrets, holding.keys = region.secrets, 1_000
        id_ = await paid(region, "op-1", 30_000)
        path = f"/v1/payments/{id_}/chargebacks"
        body = {"amount": 29_999, "case": "1", "reason_code": "10.4"}
        told = await region.send("POST", path, body, role="acquirer", key=region.key())
        assert told.status == 201, told.content
        batch = await closed(region)
        told = await holding.send("POST", f"{batch}/approve", {}, role="approver", key="1")
        assert told.status == 409, "a kopeck is still to come"
        body = {"amount": 1, "case": "2", "reason_code": "10.4"}
        told = await region.send("POST", path, body, role="acquirer", key=region.key())
        assert told.status == 201, told.content
        told = await holding.send("POST", f"{batch}/approve", {}, role="approver", key="2")
        assert told.status == 200, told.content
    await terms(region)
    await late(region, 10)
    assert await worklist(region) == []
