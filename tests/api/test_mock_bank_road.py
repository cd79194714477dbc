"""The whole road over HTTP: from payments to a bank that is not ours, and back into our books."""

from pathlib import Path
from typing import Any

import asyncpg

from gateway.payouts.centre import TRIAL_CENTRE
from tests.api.conftest import Gateway
from tests.api.test_bank_statements import approved, take
from tests.flows.test_mock_bank import OPENING, MockBank, mock_bank

OWN = TRIAL_CENTRE.account
# Weekends and holidays of two calendars, ours and the bank's, and the days until it gives back.
DAYS_MAX = 30


async def balance(region: Gateway, account: str) -> int:
    conn = await asyncpg.connect(region.database_url)
    try:
        query = "SELECT balance_kopecks FROM trial_balance WHERE ledger_account = $1"
        return int(await conn.fetchval(query, account) or 0)
    finally:
        await conn.close()


async def shown(region: Gateway, path: str) -> Any:
    return (await region.send("GET", path, role="auditor")).json


async def sent(region: Gateway, bank: MockBank, path: str) -> dict[str, Any]:
    """Claim the batch, fetch its file, and bring these bytes to the bank; what that says."""
    claimed = await region.send("POST", f"{path}/send", {}, role="operator", key=region.key())
    assert (claimed.status, claimed.json["state"]) == (200, "sent")
    file = f"{path}/payout-file?format=pain001"
    fetched = [await region.send("GET", file, role="operator") for _ in range(2)]
    assert fetched[0].status == 200
    assert fetched[0].content == fetched[1].content
    told = bank.pay(fetched[0].content)
    assert [one for one in told["findings"] if one["level"] == "error"] == []
    return told


async def heard(region: Gateway, bank: MockBank, path: str, state: str) -> list[Any]:
    """Days pass, and each one's statement is taken as it is, until the batch is in a state; what
    was answered.
    """
    answers: list[Any] = []
    for _ in range(DAYS_MAX):
        bank.later(1)
        for content in bank.said("camt.053"):
            answer = await take(region, content)
            assert (answer.status, answer.json["discrepancies"]) == (200, [])
            answers.append(answer.json)
        if (await shown(region, path))["state"] == state:
            return answers
    raise AssertionError(f"Expected the batch to be {state}")


async def test_from_payments_to_the_bank_and_back(region: Gateway, tmp_path: Path) -> None:
    path = await approved(region)
    payouts = (await shown(region, path))["payouts"]
    assert len(payouts) > 1
    back = payouts[0]
    total = sum(one["amount"] for one in payouts)
    with mock_bank(tmp_path) as bank:
        number = str(back["order_number"])
        bank.open_account("return-later", own=OWN, days=3, end_to_end_id=number)
        told = await sent(region, bank, path)
        assert (told["status"], told["accepted"], told["rejected"]) == ("ACCP", len(payouts), 0)
        assert await balance(region, "in_transit") == total
        # Every order was executed before any came back.
        first = await heard(region, bank, path, "executed")
        assert sum(len(one["executed"]) for one in first) == len(payouts)
        assert bank.balance == OPENING - total == OPENING - await balance(region, "bank")
        second = await heard(region, bank, path, "partially_executed")
        (returned,) = [one for day in second for one in day["returned"]]
        assert (returned["payout"], returned["amount"]) == (back["id"], back["amount"])
        batch = await shown(region, path)
        states = {one["id"]: one["state"] for one in batch["payouts"]}
        assert states.pop(back["id"]) == "returned"
        assert set(states.values()) == {"executed"}
        assert await balance(region, "recipients") == back["amount"]
        assert bank.balance == OPENING - await balance(region, "bank")

        # What came back is owed again: with what comes since it goes out under a new order.
        again = await approved(region)
        batch = await shown(region, again)
        (position,) = [one for one in batch["positions"] if one["recipient"] == back["recipient"]]
        assert position["returned"] == back["amount"]
        order = next(one for one in batch["payouts"] if one["recipient"] == back["recipient"])
        assert order["amount"] == position["payable"] == position["net"] + back["amount"]
        assert order["order_number"] != back["order_number"]
        assert order["id"] != back["id"]
        bank.ask("PATCH", "/_mock/accounts/own", {"behaviour": "accept", "parameters": {}})
        assert (await sent(region, bank, again))["status"] == "ACCP"
        await heard(region, bank, again, "executed")
        assert bank.balance == OPENING - await balance(region, "bank")
        assert await balance(region, "recipients") == await balance(region, "in_transit") == 0
