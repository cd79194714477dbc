"""Versions over HTTP: each change of a recipient and of fees from above, with who made it."""

from typing import Any

import asyncpg
import pytest

from tests.api.conftest import BIC, RECIPIENTS, Gateway

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


@pytest.mark.parametrize("path", ["/v1/recipients/heat/versions", "/v1/surcharges/card/versions"])
@pytest.mark.parametrize(
    ("role", "status"),
    [("operator", 200), ("approver", 200), ("auditor", 200),
     ("acquirer", 403), ("recipient:heat", 403)],
)  # fmt: skip
async def test_who_may_see_them(region: Gateway, path: str, role: str, status: int) -> None:
    assert (await region.send("GET", path, role=role)).status == status


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/recipients/nobody/versions", 404, "not_found"),
        ("/v1/surcharges/barter/versions", 404, "not_found"),
        *((f"/v1/{what}/versions?{query}", 400, "malformed")
          for what in ("recipients/heat", "surcharges/card")
          for query in ("cursor=0", "cursor=x", "cursor=-1", "cursor=9223372036854775808",
                        "limit=0", "limit=1001", "limit=x", "state=open")),
    ],
)  # fmt: skip
async def test_bad_questions(region: Gateway, path: str, status: int, code: str) -> None:
    answer = await region.send("GET", path, role="auditor")
    assert (answer.status, answer.code) == (status, code)


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
