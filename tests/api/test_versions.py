"""Versions over HTTP: each change of a recipient and of fees from above, with who made it."""

from typing import Any

import asyncpg
import pytest

from tests.api.conftest import BIC, RECIPIENTS, Gateway, payment

_, INN, ACCOUNT = RECIPIENTS["heat"]
_, _, OTHER = RECIPIENTS["waste"]


def recipient(**changes: Any) -> dict[str, Any]:
    body = {
        "name": "АО «Тепло»",
        "kind": "supplier",
        "inn": INN,
        "bank_account": {"bic": BIC, "number": ACCOUNT},
    }
    return body | changes


async def put(gateway: Gateway, body: dict[str, Any], path: str = "/v1/recipients/new") -> None:
    answer = await gateway.send("PUT", path, body, role="operator")
    assert answer.status == 200, answer.content


async def versions(gateway: Gateway, path: str, **how: Any) -> Any:
    answer = await gateway.send("GET", f"{path}/versions", **({"role": "auditor"} | how))
    assert answer.status == 200, answer.content
    return answer.json


async def test_each_change_of_a_recipient_is_kept_with_who_made_it(region: Gateway) -> None:
    await put(region, recipient())
    await put(region, recipient(commission={"ppm": 8_000}))
    moved = recipient(
        commission={"ppm": 8_000}, bank_account={"bic": BIC, "number": OTHER, "bank_name": "Банк"}
    )
    await put(region, moved)
    told = await versions(region, "/v1/recipients/new")
    assert told["next_cursor"] is None
    last, fee, first = told["versions"]
    assert [one["version"] for one in (last, fee, first)] == [3, 2, 1]
    assert {one["set_by"] for one in (last, fee, first)} == {"operator"}
    assert [one["bank_account"]["number"] for one in (last, fee, first)] == [
        OTHER,
        ACCOUNT,
        ACCOUNT,
    ]
    assert last["bank_account"]["bank_name"] == "Банк"
    assert [one["commission"]["ppm"] for one in (last, fee, first)] == [8_000, 8_000, 0]
    assert last["terms_version"] == fee["terms_version"] > first["terms_version"]
    assert first["set_at"] < fee["set_at"] < last["set_at"]
    now = (await region.send("GET", "/v1/recipients/new", role="operator")).json
    assert now == {name: last[name] for name in now}


async def test_the_same_again_is_no_change(region: Gateway) -> None:
    for body in (recipient(), recipient(commission={"ppm": 0})):
        await put(region, body)
    told = await versions(region, "/v1/recipients/new")
    assert [one["version"] for one in told["versions"]] == [1]


async def test_fees_from_above_are_kept_with_who_set_them(region: Gateway) -> None:
    before = (await versions(region, "/v1/surcharges/card"))["versions"]
    for ppm in (5_000, 6_000):
        await put(region, {"ppm": ppm, "max": 10_000}, "/v1/surcharges/card")
    told = await versions(region, "/v1/surcharges/card")
    assert told["method"] == "card"
    assert [one["ppm"] for one in told["versions"][:2]] == [6_000, 5_000]
    assert told["versions"][2:] == before
    assert {one["set_by"] for one in told["versions"]} == {"operator"}


async def test_versions_come_in_pages(region: Gateway) -> None:
    for ppm in range(1, 6):
        await put(region, recipient(commission={"ppm": ppm}))
        await put(region, {"ppm": ppm}, "/v1/surcharges/cash")
    for path in ("/v1/recipients/new", "/v1/surcharges/cash"):
        found: list[int] = []
        query = "?limit=2"
        while query:
            answer = await region.send("GET", f"{path}/versions{query}", role="approver")
            page = answer.json
            assert 1 <= len(page["versions"]) <= 2
            found += [one.get("commission", one)["ppm"] for one in page["versions"]]
            cursor = page["next_cursor"]
            query = "" if cursor is None else f"?limit=2&cursor={cursor}"
        assert found[:5] == [5, 4, 3, 2, 1]


async def test_who_may_see_them(region: Gateway) -> None:
    closed = await region.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    for path in (
        "/v1/recipients/heat/versions",
        "/v1/surcharges/card/versions",
        f"/v1/settlement-batches/{closed.json['id']}/changes",
    ):
        for role in ("operator", "approver", "auditor"):
            assert (await region.send("GET", path, role=role)).status == 200, (path, role)
        for role in ("acquirer", "recipient:heat"):
            refused = await region.send("GET", path, role=role)
            assert (refused.status, refused.code) == (403, "forbidden"), (path, role)


async def test_bad_questions(region: Gateway) -> None:
    sb = "/v1/settlement-batches/sb_" + "0" * 32 + "/changes"
    for path, status, code in (
        ("/v1/recipients/nobody/versions", 404, "not_found"),
        ("/v1/surcharges/barter/versions", 404, "not_found"),
        (sb, 404, "not_found"),
        ("/v1/settlement-batches/sb_x/changes", 404, "not_found"),
        (f"{sb}?limit=1", 400, "malformed"),
        *((f"/v1/{what}/versions?{query}", 400, "malformed")
          for what in ("recipients/heat", "surcharges/card")
          for query in ("cursor=0", "cursor=x", "cursor=-1", "cursor=9223372036854775808",
                        "limit=0", "limit=1001", "limit=x", "state=open")),
    ):  # fmt: skip
        answer = await region.send("GET", path, role="auditor")
        assert (answer.status, answer.code) == (status, code), path


async def test_nothing_of_them_is_changed_or_taken_out(region: Gateway) -> None:
    await put(region, recipient())
    await put(region, {"ppm": 5_000}, "/v1/surcharges/card")
    conn = await asyncpg.connect(region.database_url)
    try:
        for table in ("recipient_versions", "commission_terms", "surcharge_terms"):
            for change in (f"UPDATE {table} SET set_by = set_by", f"DELETE FROM {table}"):
                with pytest.raises(asyncpg.RaiseError):
                    await conn.execute(change)
    finally:
        await conn.close()


async def confirm(gateway: Gateway, path: str, version: object, **how: Any) -> Any:
    how = {"role": "approver", "key": gateway.key(), "body": {}} | how
    body = how.pop("body")
    return await gateway.send("POST", f"{path}/versions/{version}/confirm", body, **how)


@pytest.mark.parametrize("path", ["/v1/recipients/heat", "/v1/surcharges/card"])
async def test_a_change_is_confirmed_by_another_person(region: Gateway, path: str) -> None:
    await put(region, {"ppm": 5_000}, "/v1/surcharges/card")
    (one, *_) = (await versions(region, path))["versions"]
    assert one["confirmed_by"] == []
    told = await confirm(region, path, one["version"], key="k")
    assert (told.status, told.json) == (200, one | {"confirmed_by": ["approver"]}), told.content
    again = await confirm(region, path, one["version"], key="k")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (told.content, "true")
    # Once more under another key is once.
    assert (await confirm(region, path, one["version"])).json == told.json
    assert (await versions(region, path))["versions"][0] == told.json
    conn = await asyncpg.connect(region.database_url)
    try:
        # A key of the other role is the same person.
        await conn.execute("UPDATE callers SET name = 'approver' WHERE name = 'operator'")
    finally:
        await conn.close()
    same = await confirm(region, path, one["version"])
    assert (same.status, same.code) == (403, "forbidden")


async def test_bad_confirmations(region: Gateway) -> None:
    for path, version, how, status, code in (
        ("/v1/recipients/nobody", 1, {}, 404, "not_found"),
        ("/v1/surcharges/barter", 1, {}, 404, "not_found"),
        *((path, version, {}, 404, "not_found")
          for path in ("/v1/recipients/heat", "/v1/surcharges/cash")
          for version in (2, 0, -1, "x", 9_999_999_999, "1.0")),
        *((path, 1, how, status, code)
          for path in ("/v1/recipients/heat", "/v1/surcharges/card")
          for how, status, code in (
              ({"body": {"reason": "so"}}, 400, "malformed"),
              ({"body": b"["}, 400, "malformed"),
              ({"key": None}, 400, "idempotency_key_missing"),
              ({"role": "operator"}, 403, "forbidden"),
              ({"role": "recipient:heat"}, 403, "forbidden"))),
    ):  # fmt: skip
        answer = await confirm(region, path, version, **how)
        assert (answer.status, answer.code) == (status, code), (path, version, how)


async def test_an_approval_is_told_what_it_answers_for(region: Gateway) -> None:
    await region.pay(payment())
    closed = await region.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    path = f"/v1/settlement-batches/{closed.json['id']}"
    told = (await region.send("GET", f"{path}/changes", role="approver")).json
    assert told["settlement_batch"] == closed.json["id"]
    kinds = [(one["what"], one["recipient"], one["method"]) for one in told["changes"]]
    assert ("requisites", "heat", None) in kinds
    assert ("commission", "heat", None) in kinds
    assert {(one["version"], one["set_by"]) for one in told["changes"]} == {(1, "operator")}
    conn = await asyncpg.connect(region.database_url)
    try:
        # Somebody else closed it: who registered whom it pays is still not the second person.
        number = await conn.fetchval(
            "INSERT INTO callers (name, role) VALUES ('x', 'operator') RETURNING number"
        )
        await conn.execute("UPDATE settlement_batches SET closed_by = $1", number)
        await conn.execute("UPDATE callers SET name = 'approver' WHERE name = 'operator'")
        alone = await region.send("POST", f"{path}/approve", {}, role="approver", key="a1")
        assert (alone.status, alone.code) == (403, "forbidden")
        assert alone.json["detail"].endswith("the requisites of heat")
        await conn.execute(
            "UPDATE callers SET name = 'operator' WHERE name = 'approver' AND role = 'operator'"
        )
    finally:
        await conn.close()
    approved = await region.send("POST", f"{path}/approve", {}, role="approver", key="a2")
    assert approved.status == 200, approved.content
    assert (await region.send("GET", f"{path}/changes", role="auditor")).json == told
