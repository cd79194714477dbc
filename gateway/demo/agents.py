"""A terminal and a bank that know no API but a biller protocol: OSMP's, and Sberbank's."""

from datetime import datetime
from typing import Any

from gateway.demo.books import DemoFailed, require_equal
from gateway.demo.calls import Caller
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

_SMALL = "50.00"
_KOPECKS = 5_000


async def pay(stage: Stage) -> None:
    """Payments by both protocols, with the repeats and mistakes that agents make."""
    stage.show.chapter("Terminals and banks with protocols of their own")
    await _by_osmp(stage, stage.banks[1])
    await _by_sber(stage, stage.banks[0])


async def _by_osmp(stage: Stage, agent: Caller) -> None:
    show = stage.show
    told = await agent.ask_biller("osmp", {"command": "check", "account": "404"})
    require_equal("the result for an account that nobody has", told["result"], "5")
    account, told = await _in_debt(stage, agent)
    show.verbatim([f"{name}: {text}" for name, text in told.items() if text])
    number = f"{_run(stage)}01"
    paying = {
        "command": "pay",
        "txn_id": number,
        "txn_date": f"{datetime.fromisoformat(stage.payers.paid_at):%Y%m%d%H%M%S}",
        "account": account,
        "sum": told["rec_sum"],
    }
    first = await _done(agent, "osmp", paying, "result")
    again = await _done(agent, "osmp", paying, "result")
    require_equal("prv_txn of the same payment sent again", again["prv_txn"], first["prv_txn"])
    other = await agent.ask_biller("osmp", {**paying, "account": "404"})
    require_equal("the result of the same number for another account", other["result"], "300")
    paid = await _enter(stage, agent, account, number)
    owed = await _done(agent, "osmp", {"command": "check", "account": account}, "result")
    require_equal("what is owed then", owed["balance"], "0.00")
    show.holds(
        f"{agent.name} by OSMP: check, pay {roubles(paid['total'])}, and the debt is 0.00. Sent"
        f" again: the same prv_txn {first['prv_txn']}. The same number for another account: 300."
    )
    taken_back = f"{_run(stage)}02"
    await _done(agent, "osmp", {**paying, "txn_id": taken_back, "sum": _SMALL}, "result")
    paid = await _enter(stage, agent, account, taken_back)
    cancel = {"command": "cancel", "txn_id": f"{_run(stage)}03", "cancel_txn_id": taken_back}
    await _done(agent, "osmp", cancel, "result")
    await _done(agent, "osmp", cancel, "result")
    stage.books.refund({"amount": paid["amount"], "shares": paid["shares"]})
    show.holds(f"{roubles(_KOPECKS)} paid by mistake and cancelled, twice: given back once.")


async def _by_sber(stage: Stage, bank: Caller) -> None:
    account, _ = await _in_debt(stage, bank)
    number = f"{_run(stage)}11"
    paying = {
        "ACTION": "payment",
        "ACCOUNT": account,
        "AMOUNT": _SMALL,
        "PAY_ID": number,
        "PAY_DATE": f"{datetime.fromisoformat(stage.payers.paid_at):%d.%m.%Y_%H:%M:%S}",
    }
    first = await _done(bank, "sber", paying, "CODE")
    again = await bank.ask_biller("sber", paying)
    require_equal("the code of the same payment sent again", again["CODE"], "8")
    require_equal("its EXT_ID", again["EXT_ID"], first["EXT_ID"])
    paid = await _enter(stage, bank, account, number)
    stage.show.holds(
        f"{bank.name} by Sberbank's protocol: {roubles(paid['total'])} as EXT_ID"
        f" {first['EXT_ID']}; sent again it is told the same with code 8, and paid once."
    )


async def _in_debt(stage: Stage, agent: Caller) -> tuple[str, dict[str, str]]:
    """An account that still owes something, and what a check tells of it."""
    for bill in reversed(stage.region.bills):
        account = bill.subscriber_account
        told = await _done(agent, "osmp", {"command": "check", "account": account}, "result")
        if told["balance"] != "0.00":
            return account, told
    raise DemoFailed("Expected an account that owes, was none")


async def _done(agent: Caller, protocol: str, told: dict[str, str], code: str) -> dict[str, str]:
    answer = await agent.ask_biller(protocol, told)
    require_equal(f"the {code} of {protocol}", answer[code], "0")
    return answer


async def _enter(stage: Stage, agent: Caller, account: str, number: str) -> dict[str, Any]:
    """Enters an operation's payment into the books, as GET shows it."""
    found = (await agent.get(f"/v1/payments?subscriber_account={account}&limit=1000")).json
    made = [one for one in found["payments"] if one.get("reference") == number]
    require_equal(f"payments of operation {number}", len(made), 1)
    paid: dict[str, Any] = made[0]
    stage.books.take(paid)
    return paid


def _run(stage: Stage) -> str:
    """Digits of this run, so that a later one's operations are new ones."""
    return f"{stage.run.rpartition('-')[2]}0000"
