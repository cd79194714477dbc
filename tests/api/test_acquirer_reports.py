"""Acquirers' files over HTTP: rows matched, made payments or named, each once for ever."""

import asyncio
import io
import resource
from typing import Any

import asyncpg
import orjson
import pytest

from tests.acquirer_reports import files
from tests.acquirer_reports.files import Told, sber12
from tests.api.conftest import Answer, Gateway, bill, payment

DAY = "2026-11-12 09:31:07"


async def sent(
    gateway: Gateway,
    content: bytes | str,
    key: str | None = None,
    format_name: str | None = "auto",
    role: str = "acquirer",
) -> Answer:
    query = "" if format_name is None else f"?format={format_name}"
    return await gateway.send(
        "POST",
        f"/v1/acquirer-reports{query}",
        io.BytesIO(content if isinstance(content, bytes) else content.encode("cp1251")),
        role=role,
        key=gateway.key() if key is None else key,
        headers={"Content-Type": "text/csv"},
    )


async def counted(gateway: Gateway, content: bytes | str, **how: Any) -> tuple[int, int, list[Any]]:
    """Matched, created and the discrepancies of a file that is taken."""
    answer = await sent(gateway, content, **how)
    assert answer.status == 200, answer.content
    told = answer.json
    assert told["id"].startswith("rep_")
    assert told["discrepancy_count"] == len(told["discrepancies"])
    return told["matched"], told["created"], told["discrepancies"]


async def payments(gateway: Gateway, account: str = "220012345") -> list[dict[str, Any]]:
    answer = await gateway.send(
        "GET", f"/v1/payments?subscriber_account={account}", role="acquirer"
    )
    found: list[dict[str, Any]] = answer.json["payments"]
    return found


async def online(gateway: Gateway, **changes: Any) -> str:
    answer = await gateway.pay(payment(**changes), key=gateway.key())
    assert answer.status == 201, answer.content
    return str(answer.json["id"])


def row(operation: str, amount: int = 100_000, account: str = "220012345", **more: Any) -> Told:
    return Told(operation, account, amount, more.pop("at", DAY), **more)


async def test_a_row_that_nobody_knew_becomes_a_payment(region: Gateway) -> None:
    told = [row("op-1", 70_000), row("op-2", 30_000, account="no-such-account")]
    assert await counted(region, sber12(told)) == (0, 2, [])
    (made,) = await payments(region)
    assert (made["amount"], made["state"], made["reference"]) == (70_000, "accepted", "op-1")
    assert made["paid_at"] == "2026-11-12T02:31:07Z"
    assert made["method"]["type"] == "cash"
    assert made["method"]["row"] == 1
    assert made["method"]["report"].startswith("rep_")
    assert sum(share["amount"] for share in made["shares"]) == 70_000
    (held,) = await payments(region, "no-such-account")
    assert held["state"] == "suspense"


async def test_a_row_matches_the_payment_that_was_taken_online(region: Gateway) -> None:
    await online(region, reference="op-1")
    assert await counted(region, sber12([row("op-1"), row("op-2", 500)])) == (1, 1, [])
    assert sorted(p["amount"] for p in await payments(region)) == [500, 100_000]


async def test_what_differs_is_named_and_nothing_is_made_of_it(region: Gateway) -> None:
    sum_differs = await online(region, reference="op-1", amount=100_001)
    account_differs = await online(region, reference="op-2", subscriber_account="A")
    missing = await online(region, reference="op-3", amount=5)
    await online(region, reference="op-4", paid_at="2026-11-11T23:59:59+07:00")
    told = [row("op-1"), row("op-2"), row("op-5", 7, account="Лицевой")]
    told += [row("op-6", 8), row("op-6", 8)]
    matched, created, differing = await counted(region, sber12(told))
    assert (matched, created) == (0, 1)
    (made,) = [p["id"] for p in await payments(region) if p["amount"] == 8]
    assert differing == [
        {"kind": "sum-differs", "row": 1, "payment": sum_differs},
        {"kind": "account-differs", "row": 2, "payment": account_differs},
        {"kind": "registry-only", "row": 3, "code": "account_invalid"},
        {"kind": "duplicate-in-registry", "row": 5, "payment": made},
        {"kind": "online-only", "payment": missing},
    ]
    assert sorted(p["amount"] for p in await payments(region)) == [5, 8, 100_000, 100_001]


async def test_the_same_file_again_makes_nothing(region: Gateway) -> None:
    await online(region, reference="op-1")
    content = sber12([row("op-1"), row("op-2", 500)])
    first = await sent(region, content, key="k")
    again = await sent(region, content, key="k")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content == first.content
    assert first.json["created"] == 1
    # Under another key, in another encoding, with other line ends: all is known already.
    assert await counted(region, content) == (2, 0, [])
    assert await counted(region, content.replace("\n", "\r\n").encode("koi8-r")) == (2, 0, [])
    assert len(await payments(region)) == 2
    other = await sent(region, content + "\n", key="k")
    assert (other.status, other.code) == (422, "idempotency_key_reused")


async def test_an_operation_that_another_file_has_told_of_is_not_taken_twice(
    region: Gateway,
) -> None:
    paid = await online(region, reference="op-1")
    assert await counted(region, sber12([row("op-1"), row("op-2", 500)])) == (1, 1, [])
    made = next(p["id"] for p in await payments(region) if p["amount"] == 500)
    corrected = [row("op-3", 600), row("op-1"), row("op-2", 500), row("op-2", 501)]
    assert await counted(region, sber12(corrected)) == (
        0,
        1,
        [
            {"kind": "duplicate-in-registry", "row": 2, "payment": paid},
            {"kind": "duplicate-in-registry", "row": 3, "payment": made},
            {"kind": "sum-differs", "row": 4, "payment": made},
        ],
    )
    assert len(await payments(region)) == 3


async def test_another_acquirer_has_its_own_operations(region: Gateway) -> None:
    await online(region, reference="op-1")
    content = sber12([row("op-1")])
    assert await counted(region, content, role="acquirer2") == (0, 1, [])
    assert await counted(region, content) == (1, 0, [])
    assert len(await payments(region)) == 1


async def test_a_number_that_comes_again_means_the_newest_payment(region: Gateway) -> None:
    """Some banks number every day anew; then sum and account tell, and else the latest counts."""
    old = await online(region, reference="1", amount=7, paid_at="2026-10-12T09:31:07+07:00")
    assert await counted(region, sber12([row("1", 7, at="2026-10-12 09:31:07")])) == (1, 0, [])
    new = await online(region, reference="1", amount=9)
    assert await counted(region, sber12([row("1", 8)])) == (
        0, 0, [{"kind": "sum-differs", "row": 1, "payment": new}],
    )  # fmt: skip
    assert await counted(region, sber12([row("1", 9)])) == (1, 0, [])
    assert await counted(region, sber12([row("1", 7), row("2", 1)])) == (
        0, 1, [{"kind": "duplicate-in-registry", "row": 1, "payment": old}],
    )  # fmt: skip


async def test_a_payment_without_a_number_is_matched_by_account_sum_and_day(
    region: Gateway,
) -> None:
    await online(region, reference=...)
    told = [row("op-1"), row("op-2")]
    assert await counted(region, sber12(told)) == (1, 1, [])
    assert await counted(region, sber12(told)) == (2, 0, [])
    late = [row("op-3", at="2026-11-16 10:00:00")]
    await online(region, reference=..., paid_at="2026-11-12T10:00:00+07:00")
    assert (await counted(region, sber12(late)))[:2] == (0, 1)


async def test_a_file_without_numbers_pairs_row_by_row(region: Gateway) -> None:
    await online(region, reference="their-own-1")
    content = files.post([row("", 100_000), row("", 100_000), row("", 5)])
    assert await counted(region, content) == (1, 2, [])
    assert await counted(region, content.encode("cp866").replace(b"\n", b"\r\n")) == (3, 0, [])
    corrected = files.post([row("", 100_000), row("", 100_000), row("", 5), row("", 6)])
    matched, created, differing = await counted(region, corrected)
    assert (matched, created) == (0, 1)
    assert [one["kind"] for one in differing] == ["duplicate-in-registry"] * 3
    assert sorted(p["amount"] for p in await payments(region)) == [5, 6, 100_000, 100_000]


async def test_gorod_and_qiwi_are_taken_too(region: Gateway) -> None:
    await region.send(
        "POST", "/v1/bills", {"bills": [bill("00-123456")]}, role="operator", key=region.key()
    )
    told = [row("", 300, account="00-123456")]
    assert await counted(region, files.gorod(told)) == (0, 1, [])
    assert await counted(region, files.gorod(told)) == (1, 0, [])
    assert await counted(region, files.qiwi([row("1234567", 400)]), format_name="qiwi") == (
        0,
        1,
        [],
    )
    assert [p["state"] for p in await payments(region, "00-123456")] == ["accepted"]
    assert [p["paid_at"] for p in await payments(region)] == ["2026-11-12T06:31:07Z"]


async def test_control_totals_that_do_not_hold_take_nothing(region: Gateway) -> None:
    good = sber12([row("op-1"), row("op-2", 5)])
    for wrong in (good.replace("=2", "=3"), good.replace("=2;1000,05", "=2;1000,06")):
        answer = await sent(region, wrong, key="k")
        assert (answer.status, answer.code) == (422, "control_total_mismatch")
    cut_off = await sent(region, good[: good.index("=2")])
    assert cut_off.code == "control_total_mismatch"
    assert await payments(region) == []
    assert (await sent(region, good, key="k")).json["created"] == 2, "the key is still free"


async def test_what_the_door_refuses(region: Gateway) -> None:
    good = sber12([row("op-1")])
    unnamed = await region.send("POST", "/v1/acquirer-reports", good.encode(), role="acquirer")
    assert unnamed.code == "idempotency_key_missing"
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    hidden = await region.send(
        "POST", "/v1/acquirer-reports", good.encode(), role="acquirer", key="k", headers=form
    )
    assert hidden.code == "unsupported_media_type"
    assert (await sent(region, good, role="operator")).code == "forbidden"
    assert (await sent(region, good, format_name="sber99")).code == "malformed"
    assert (await sent(region, "Hello\n")).code == "malformed"
    assert (await sent(region, b"")).code == "malformed"
    assert (await sent(region, b"x" * 20_000)).code == "malformed"
    assert await payments(region) == []


async def test_money_that_a_bill_refuses_is_a_discrepancy(region: Gateway) -> None:
    refusing = bill("R", overpayment="reject")
    answer = await region.send(
        "POST", "/v1/bills", {"bills": [refusing]}, role="operator", key=region.key()
    )
    assert answer.json["accepted"] == 1, answer.content
    assert await counted(region, sber12([row("op-1", 120_001, account="R")])) == (
        0, 0, [{"kind": "registry-only", "row": 1, "code": "overpayment"}],
    )  # fmt: skip


async def test_policy_of_an_acquirer(region: Gateway) -> None:
    await online(region, reference="op-0", amount=9)
    told = [row("op-1"), row("op-2", 5, account="nobody")]

    async def policy(**changes: str) -> None:
        answer = await region.send("PUT", "/v1/report-policies/acquirer", changes, role="operator")
        assert answer.status == 200, answer.content
        shown = await region.send("GET", "/v1/report-policies/acquirer", role="auditor")
        assert shown.json == answer.json == defaults | changes

    defaults = {
        "report_only": "take",
        "unknown_account": "suspense",
        "online_only": "question",
    }
    await policy(report_only="question", online_only="ignore")
    assert await counted(region, sber12(told)) == (
        0, 0, [{"kind": "registry-only", "row": 1}, {"kind": "registry-only", "row": 2}],
    )  # fmt: skip
    await policy(unknown_account="question", online_only="ignore")
    assert await counted(region, sber12(told)) == (
        0, 1, [{"kind": "registry-only", "row": 2, "code": "not_found"}],
    )  # fmt: skip
    await policy()
    matched, created, differing = await counted(region, sber12(told))
    assert (matched, created) == (1, 1)
    assert [one["kind"] for one in differing] == ["online-only"]
    refusals = [
        ("acquirer", {"report_only": "keep"}, "operator", "malformed"),
        ("nobody", {}, "operator", "not_found"),
        ("acquirer", {}, "acquirer", "forbidden"),
    ]
    for name, body, role, code in refusals:
        answer = await region.send("PUT", f"/v1/report-policies/{name}", body, role=role)
        assert answer.code == code


async def test_what_only_we_knew_is_settled_by_another_file_of_the_day(region: Gateway) -> None:
    first, second = await online(region, reference="op-1"), await online(region, reference="op-2")
    morning = (await sent(region, sber12([row("op-3", 5)]))).json
    assert [one["payment"] for one in morning["discrepancies"]] == [first, second]
    assert await counted(region, sber12([row("op-1")])) == (
        1, 0, [{"kind": "online-only", "payment": second}],
    )  # fmt: skip
    path = f"/v1/acquirer-reports/{morning['id']}"
    standing = (await region.send("GET", path, role="operator")).json
    assert (standing["created"], standing["discrepancy_count"]) == (1, 1)
    assert [one["payment"] for one in standing["discrepancies"]] == [second]


async def test_a_report_is_shown_to_who_sent_it_and_to_the_centre(region: Gateway) -> None:
    taken = (await sent(region, sber12([row("op-1"), row("op-1")]))).json
    path = f"/v1/acquirer-reports/{taken['id']}"
    for role in ("acquirer", "operator", "auditor"):
        assert (await region.send("GET", path, role=role)).json == taken
    assert (await region.send("GET", path, role="acquirer2")).code == "not_found"
    assert (await region.send("GET", "/v1/acquirer-reports/rep_1", role="acquirer")).code == (
        "not_found"
    )


@pytest.mark.parametrize("together", [True, False])
async def test_files_sent_at_once_make_each_payment_once(region: Gateway, together: bool) -> None:
    told = [row(f"op-{n}", 100 + n) for n in range(300)]
    for n in range(0, 300, 3):
        await online(region, reference=f"op-{n}", amount=100 + n)
    contents = [sber12(told), sber12(told) if together else sber12(told[::-1])]
    answers = await asyncio.gather(*(sent(region, content) for content in contents * 2))
    assert [answer.status for answer in answers] == [200] * 4
    assert sum(answer.json["created"] for answer in answers) == 200
    assert await _stored(region) == (300, 300, sum(100 + n for n in range(300)))


async def _stored(gateway: Gateway) -> tuple[int, int, int]:
    conn = await asyncpg.connect(gateway.database_url)
    try:
        found = await conn.fetchrow(
            "SELECT count(*), count(DISTINCT reference), sum(amount) FROM payments"
        )
    finally:
        await conn.close()
    return tuple(found)


async def test_a_day_of_a_hundred_thousand_rows_in_bounded_memory(region: Gateway) -> None:
    """Rows of a policy that makes no payments, so that reading and matching are what is seen."""
    count = 100_000
    content = sber12(files.some(count, account="220012345")).encode("cp1251")
    policy = {"report_only": "question", "online_only": "ignore"}
    await region.send("PUT", "/v1/report-policies/acquirer", policy, role="operator")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = await sent(region, content)
    assert answer.json["rows"] == count
    assert answer.json["discrepancy_count"] == count
    assert orjson.loads(answer.content)["discrepancies"][-1] == {
        "kind": "registry-only",
        "row": count,
    }
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 150 * 1024
