"""What a recipient's key sees: its own batches, positions and what is coming, and nobody else's."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from gateway.api import table
from gateway.flows import coming
from tests.api.conftest import Gateway, bill, payment, recipient

IDS = ("heat", "waste", "uk")
NAMES = ("gross", "commission", "refunds", "net", "carried_in", "returned")


async def close(region: Gateway) -> dict[str, Any]:
    answer = await region.send(
        "POST", "/v1/settlement-batches", {}, role="operator", key=region.key()
    )
    assert answer.status == 201, answer.content
    found: dict[str, Any] = answer.json
    return found


async def approve(region: Gateway, batch: str) -> None:
    answer = await region.send(
        "POST", f"/v1/settlement-batches/{batch}/approve", {}, role="approver", key=region.key()
    )
    assert answer.status == 200, answer.content


async def seen(region: Gateway, path: str, role: str) -> Any:
    answer = await region.send("GET", path, role=role)
    assert answer.status == 200, (path, role, answer.content)
    return answer.json


@pytest.fixture
async def days(region: Gateway) -> list[dict[str, Any]]:
    """Three batches: approved, closed, and one without waste; then more in the open one."""
    centre = recipient("uk", kind="centre", name="ООО «Центр»")
    await region.send("PUT", "/v1/recipients/centre", centre, role="operator")
    body = recipient("heat", commission={"ppm": 15_000})
    assert (await region.send("PUT", "/v1/recipients/heat", body, role="operator")).status == 200
    found = []
    for amount, services in ((100_003, None), (20_007, None), (9_001, {"heating": 9_001})):
        more = {"designation": services} if services else {}
        taken = await region.pay(payment(amount=amount, reference=..., **more))
        assert taken.status == 201, taken.content
        found.append(await close(region))
    await approve(region, found[0]["id"])
    await region.pay(payment(amount=7_013, reference=...))
    return found


async def test_batches_are_told_to_each_recipient_as_its_own(
    region: Gateway, days: list[dict[str, Any]]
) -> None:
    for id_ in IDS:
        listed = await seen(region, "/v1/settlement-batches", f"recipient:{id_}")
        own = [
            (day["id"], next(p for p in day["positions"] if p["recipient"] == id_))
            for day in reversed(days)
            if any(p["recipient"] == id_ for p in day["positions"])
        ]
        told = [(one["id"], one["position"]) for one in listed["settlement_batches"]]
        assert told == own
        assert listed["next_cursor"] is None
        for one in listed["settlement_batches"]:
            path = f"/v1/settlement-batches/{one['id']}"
            whole = await seen(region, path, f"recipient:{id_}")
            assert {name: whole[name] for name in one} == one
            by_all = await seen(region, path, "operator")
            assert whole["root"] == by_all["seals"][0]["root"]
            orders = [p for p in by_all["payouts"] if p.pop("recipient") == id_]
            assert [one["payout"]] == (orders or [None])
    assert len(days[2]["positions"]) == 2
    foreign = f"/v1/settlement-batches/{days[2]['id']}"
    answer = await region.send("GET", foreign, role="recipient:waste")
    assert (answer.status, answer.code) == (404, "not_found")


async def test_pages_follow_each_other_and_may_be_asked_by_state(
    region: Gateway, days: list[dict[str, Any]]
) -> None:
    for role, query in (("operator", ""), ("recipient:heat", ""), ("auditor", "&recipient=heat")):
        pages, cursor = [], ""
        for _ in range(4):
            page = await seen(region, f"/v1/settlement-batches?limit=2{query}{cursor}", role)
            pages.append([one["id"] for one in page["settlement_batches"]])
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        ids = [day["id"] for day in reversed(days)]
        assert pages == [ids[:2], ids[2:]], role
        some = await seen(region, f"/v1/settlement-batches?state=closed{query}", role)
        assert [one["id"] for one in some["settlement_batches"]] == ids[:2]
    whole = await seen(region, "/v1/settlement-batches?state=approved", "approver")
    (first,) = whole["settlement_batches"]
    assert first["payable"] == sum(p["payable"] for p in days[0]["positions"])
    assert first["payments"] == 1


@pytest.mark.parametrize(
    ("path", "role", "status", "code"),
    [
        ("/v1/settlement-batches?recipient=waste", "recipient:heat", 403, "forbidden"),
        ("/v1/settlement-batches?recipient=nobody", "operator", 404, "not_found"),
        ("/v1/settlement-batches?state=open", "operator", 400, "malformed"),
        ("/v1/settlement-batches?limit=0", "operator", 400, "malformed"),
        ("/v1/settlement-batches?cursor=sb_1", "operator", 400, "malformed"),
        (f"/v1/settlement-batches?cursor=sb_{'0' * 32}", "operator", 400, "malformed"),
        ("/v1/settlement-batches?order=1", "recipient:heat", 400, "malformed"),
        (f"/v1/settlement-batches/sb_{'0' * 32}", "recipient:heat", 404, "not_found"),
        ("/v1/recipients/waste", "recipient:heat", 403, "forbidden"),
        ("/v1/recipients/waste/coming", "recipient:heat", 403, "forbidden"),
        ("/v1/recipients/nobody/coming", "auditor", 404, "not_found"),
        ("/v1/recipients/heat/coming?day=1", "auditor", 400, "malformed"),
    ],
)
async def test_what_is_not_its_own_is_refused(
    region: Gateway, path: str, role: str, status: int, code: str
) -> None:
    answer = await region.send("GET", path, role=role)
    assert (answer.status, answer.code) == (status, code)


def words(value: Any) -> Iterator[Any]:
    """Every text and number of an answer."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from words(one)
    elif isinstance(value, list):
        for one in value:
            yield from words(one)
    else:
        yield value


async def test_no_field_of_any_answer_tells_of_another_recipient(
    region: Gateway, days: list[dict[str, Any]]
) -> None:
    """Whatever a recipient's key may read, by whatever ids, tells neither names nor sums of others,
    nor of all together."""
    foreign: set[Any] = {"waste", "АО «waste»", "operator", "approver"}
    foreign |= {recipient("waste")["inn"], recipient("waste")["bank_account"]["number"]}
    for day in days:
        for position in day["positions"]:
            if position["recipient"] != "heat":
                foreign |= {position[n] for n in ("gross", "net", "payable") if position[n]}
        together = [sum(p[name] for p in day["positions"]) for name in ("gross", "payable")]
        foreign |= set(together)
        foreign |= {one["amount"] for one in day["business_days"]}
    own = {
        n for day in days for p in day["positions"] if p["recipient"] == "heat" for n in p.values()
    }
    foreign -= own
    assert len(foreign) > 12
    read = 0
    ids = {"/v1/settlement-batches": [day["id"] for day in days], "/v1/recipients": list(IDS)}
    for route in table.routes():
        if route.method != "GET" or "recipient" not in route.roles or not route.path[3:]:
            continue
        begin = "/".join(route.path.split("/")[:3])
        for id_ in ids.get(begin, ["x"]):
            for other in IDS:
                path = route.path.replace("{id}", id_).replace("{recipient}", other)
                answer = await region.send(
                    "GET", path.replace("{name}", "x"), role="recipient:heat"
                )
                if answer.status == 200 and answer.headers["Content-Type"] == "application/json":
                    read += 1
                    told = foreign & set(words(answer.json))
                    assert not told, (path, told)
                elif answer.status == 200:
                    assert b"waste" not in answer.content, path
    assert read > 20


async def test_what_is_coming_is_what_the_next_batch_closes(
    region: Gateway, days: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming, "FRESH_MIN", timedelta(0))
    monkeypatch.setattr(coming, "FRESH_TIMES", 0)
    dice = random.Random(5)
    await region.send("POST", "/v1/bills", {"bills": [bill("K-2")]}, role="operator", key="k2")
    for number in range(8):
        body = payment(
            subscriber_account=dice.choice(["220012345", "K-2", "nobody"]),
            amount=dice.randint(1, 60_000), reference=...,
        )  # fmt: skip
        taken = (await region.pay(body)).json
        if dice.random() < 0.5:
            path = f"/v1/payments/{taken['id']}/refunds"
            back = {"amount": dice.randint(1, taken["amount"])}
            answer = await region.send("POST", path, back, role="acquirer", key=f"r{number}")
            assert answer.status == 201, answer.content
    before = {id_: await seen(region, f"/v1/recipients/{id_}/coming", "auditor") for id_ in IDS}
    closed = await close(region)
    for position in closed["positions"]:
        told = before[position["recipient"]]
        assert {name: told[name] for name in NAMES} == {name: position[name] for name in NAMES}
        assert told["amount"] == position["payable"] + position["carried_out"]
        assert sum(one["gross"] for one in told["services"]) == told["gross"]
        assert sum(one["refunds"] for one in told["services"]) == told["refunds"]
        assert told["expected_on"] == closed["settlement_date"]
        after = await seen(region, f"/v1/recipients/{position['recipient']}/coming", "operator")
        assert after["gross"] == after["refunds"] == after["commission"] == 0
        way, way_before = after["on_the_way"], told["on_the_way"]
        assert way["orders"] == way_before["orders"] + 1
        assert way["amount"] == way_before["amount"] + position["payable"]
        assert way["newest"][0]["settlement_batch"] == closed["id"]
        assert way["newest"][-1]["state"] == "approved"
    assert len(closed["positions"]) == 3


async def test_what_a_small_sum_waits_for_and_a_debt_are_told(region: Gateway) -> None:
    proposed = await region.send(
        "POST", "/v1/agreements",
        {"recipient": "waste", "contract": "№ 1", "valid_from": "2026-01-01",
         "minimum_payout": 500_000, "carry_days": 5},
        role="operator", key="agree",
    )  # fmt: skip
    assert proposed.status == 201, proposed.content
    decided = await region.send(
        "POST", f"/v1/agreements/{proposed.json['id']}/approve", {}, role="approver", key="yes"
    )
    assert decided.status == 200, decided.content
    taken = (await region.pay(payment())).json
    told = await seen(region, "/v1/recipients/waste/coming", "recipient:waste")
    assert (told["minimum_payout"], told["amount"]) == (500_000, 33_333)
    assert told["waits_until"] is not None
    assert told["expected_on"] > told["waits_until"]
    closed = await close(region)
    (position,) = (p for p in closed["positions"] if p["recipient"] == "waste")
    assert (position["payable"], position["carried_out"]) == (0, 33_333)
    told = await seen(region, "/v1/recipients/waste/coming", "recipient:waste")
    assert (told["carried_in"], told["amount"], told["gross"]) == (33_333, 33_333, 0)
    # The whole payment goes back: heat was to be paid already, so it owes.
    path = f"/v1/payments/{taken['id']}/refunds"
    await region.send("POST", path, {"amount": 100_000}, role="acquirer", key="back")
    conn = await asyncpg.connect(region.database_url)
    try:
        assert await conn.fetchval("SELECT count(*) FROM refunds") == 1
    finally:
        await conn.close()
    await close(region)
    told = await seen(region, "/v1/recipients/heat/coming", "recipient:heat")
    assert told["carried_in"] == told["amount"] == -63_334
    assert told["expected_on"] is None
    assert told["waits_until"] is None


async def test_asking_often_adds_up_once(region: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coming, "FRESH_MIN", timedelta(hours=1))
    first = await seen(region, "/v1/recipients/heat/coming", "recipient:heat")
    await region.pay(payment())
    again = await seen(region, "/v1/recipients/waste/coming", "recipient:waste")
    assert (again["as_of"], again["gross"]) == (first["as_of"], 0)
    # What was added up belongs to batches that are no longer the same.
    await close(region)
    anew = await seen(region, "/v1/recipients/heat/coming", "recipient:heat")
    assert anew["as_of"] > first["as_of"]
    assert anew["on_the_way"]["amount"] == 63_334
