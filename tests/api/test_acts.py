"""Acts over HTTP: whose they are, when there are any, and that what was printed stays so."""

from typing import Any

import asyncpg

from tests.api.conftest import Gateway, payment, recipient, served
from tests.settlement.test_acts import text_of


async def closed(region: Gateway) -> str:
    centre = recipient("uk", kind="centre", name="ООО «Центр»")
    await region.send("PUT", "/v1/recipients/centre", centre, role="operator")
    body = recipient("heat", commission={"ppm": 15_000})
    await region.send("PUT", "/v1/recipients/heat", body, role="operator")
    await region.pay(payment(reference=...))
    batch = await region.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    return str(batch.json["id"])


async def step(region: Gateway, batch: str, what: str, body: Any, role: str = "approver") -> None:
    path = f"/v1/settlement-batches/{batch}/{what}"
    answer = await region.send("POST", path, body, role=role, key=what)
    assert answer.status == 200, answer.content


async def test_an_act_is_its_recipients_and_stays_as_it_was(region: Gateway) -> None:
    batch = await closed(region)
    path = f"/v1/settlement-batches/{batch}/reports/heat/act"
    early = await region.send("GET", path, role="recipient:heat")
    assert (early.status, early.code) == (409, "state_conflict")
    await step(region, batch, "approve", {})
    first = await region.send("GET", path, role="recipient:heat")
    assert first.status == 200, first.content
    assert first.headers["Content-Type"] == "application/pdf"
    assert f'filename="{batch}.act.pdf"' in first.headers["Content-Disposition"]
    text = text_of(first.content)
    # 63 334 kopecks of gross, 1.5 % of it withheld.
    for words in ("ООО «Центр»", "АО «heat»", "633,34", "−9,50", "623,84", "НДС не облагается",
                  "Шестьсот двадцать три рубля 84 копейки"):  # fmt: skip
        assert words in text, words
    # Another name, and another tax, are for what is printed from then on.
    other = recipient("heat", name="АО «Другое»")
    await region.send("PUT", "/v1/recipients/heat", other, role="operator")
    async with served(region.database_url, callers=False, commission_vat_percent=22) as second:
        second.secrets.update(region.secrets)
        again = await second.send("GET", path, role="operator")
        assert again.content == first.content
        waste = await second.send("GET", path.replace("heat", "waste"), role="auditor")
        assert "НДС 22 %" in text_of(waste.content)
    conn = await asyncpg.connect(region.database_url)
    try:
        assert await conn.fetchval("SELECT count(*) FROM acts") == 2
    finally:
        await conn.close()


async def test_who_gets_no_act(region: Gateway) -> None:
    batch = await closed(region)
    path = f"/v1/settlement-batches/{batch}/reports/{{}}/act".format
    await step(region, batch, "approve", {})
    for at, role, status, code in (
        (path("waste"), "recipient:heat", 403, "forbidden"),
        (path("heat"), "acquirer", 403, "forbidden"),
        (path("nobody"), "operator", 404, "not_found"),
        (path("centre"), "operator", 404, "not_found"),
        (path("heat").replace(batch, "sb_" + "0" * 32), "operator", 404, "not_found"),
        (path("heat") + "?format=pdf", "operator", 400, "malformed"),
    ):
        answer = await region.send("GET", at, role=role)
        assert (answer.status, answer.code) == (status, code), at
    assert (await region.send("GET", path("heat"), role="operator")).status == 200
    await step(region, batch, "cancel", {"reason": "by mistake"})
    gone = await region.send("GET", path("heat"), role="recipient:heat")
    assert (gone.status, gone.code) == (409, "state_conflict")
