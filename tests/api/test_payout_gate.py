"""What the machine refuses before an approval, over HTTP: its code, and the reason that is kept."""

from typing import Any

import asyncpg

from tests.api.conftest import Gateway

CASH = {"type": "cash"}
# A kopeck from one recipient to another: all of them together are paid what they are owed.
SWAP = """
    UPDATE positions AS p
    SET gross = gross + s.sign, net = net + s.sign, payable = payable + s.sign
    FROM (SELECT min(recipient) AS recipient, {first} AS sign FROM positions
          UNION ALL SELECT max(recipient), -({first}) FROM positions) AS s
    WHERE p.recipient = s.recipient
"""


async def execute(region: Gateway, query: str) -> None:
    conn = await asyncpg.connect(region.database_url)
    try:
        await conn.execute(query)
    finally:
        await conn.close()


async def closed(region: Gateway, amount: int) -> str:
    body = {"subscriber_account": "220012345", "amount": amount, "method": CASH}
    assert (await region.pay(body)).status == 201
    answer = await region.send(
        "POST", "/v1/settlement-batches", {}, role="operator", key=region.key()
    )
    return f"/v1/settlement-batches/{answer.json['id']}"


async def approve(region: Gateway, path: str, **body: str) -> Any:
    return await region.send("POST", f"{path}/approve", body, role="approver", key=region.key())


async def test_a_kopeck_of_one_recipient_for_another_is_refused(region: Gateway) -> None:
    path = await closed(region, 100_000)
    await execute(region, SWAP.format(first=1))
    for body in ({}, {"override": "I know better"}):
        answer = await approve(region, path, **body)
        assert (answer.status, answer.code) == (409, "ledger_mismatch")
        assert "as the ledger owes" in answer.json["detail"]
    shown = (await region.send("GET", path, role="auditor")).json
    assert (shown["state"], shown["payouts"]) == ("closed", [])
    await execute(region, SWAP.format(first=-1))
    assert (await approve(region, path)).status == 200


async def test_a_changed_account_takes_a_reason_that_is_kept(region: Gateway) -> None:
    assert (await approve(region, await closed(region, 100_000))).status == 200
    conn = await asyncpg.connect(region.database_url)
    try:
        heat = await conn.fetchrow("SELECT name, kind, inn FROM recipients WHERE id = 'heat'")
    finally:
        await conn.close()
    account = {"bic": "044030790", "number": "40703810990200000032"}
    body = {**heat, "bank_account": account, "accept_inn": True}
    changed = await region.send("PUT", "/v1/recipients/heat", body, role="operator")
    assert changed.status == 200
    path = await closed(region, 40_000_000)
    refused = await approve(region, path)
    assert (refused.status, refused.code) == (409, "state_conflict")
    assert "to heat are for another account than was paid last" in refused.json["detail"]
    approved = await approve(region, path, override="its letter 12 of today")
    (event,) = approved.json["events"]
    assert (event["event"], event["reason"]) == ("approve", "its letter 12 of today")
    # Paid there once, it is its account.
    assert (await approve(region, await closed(region, 40_000_000))).status == 200
