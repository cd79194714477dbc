"""The evening's file of a bank: what it took online is matched, what its desks took is paid."""

from datetime import datetime
from typing import Any

from gateway.demo.books import require_equal
from gateway.demo.paying import Taken
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

_PATH = "/v1/acquirer-reports?format=auto"
_FEE_PARTS = 100


async def report(stage: Stage, taken: list[Taken]) -> None:
    """Sends a file with payments taken online, some that are new, and one that differs."""
    stage.show.chapter("A bank's file of the day: matched, paid, or named")
    bank = stage.banks[1]
    caller = {"report_only": "take", "unknown_account": "suspense", "online_only": "ignore"}
    await stage.operator.put(f"/v1/report-policies/{bank.name}", caller)
    online = [one for one in taken if one.caller is bank]
    known = [(one.planned.body["reference"], one.answer, one.answer["total"]) for one in online]
    *known, (operation, answer, total) = known
    desks = _at_desks(stage)
    rows = [(op, answer["subscriber_account"], total) for op, answer, total in known]
    rows += desks
    wrong = (operation, answer["subscriber_account"], total + 1)
    content = _file(stage, [*rows, wrong])
    key = f"{stage.run}-report"
    stage.show.verbatim([content.partition("\n")[0], "…", content.splitlines()[-1]])
    bad = content.replace(f"\n={len(rows) + 1};", f"\n={len(rows)};")
    refused = await bank.post(_PATH, bad.encode("cp1251"), key, expect=422, kind="text/csv")
    require_equal("the code of a wrong footer", refused.code, "control_total_mismatch")
    reply = await bank.post(_PATH, content.encode("cp1251"), key, expect=200, kind="text/csv")
    told = reply.json
    require_equal("rows that match", told["matched"], len(known))
    require_equal("rows that became payments", told["created"], len(desks))
    require_equal(
        "what differs",
        told["discrepancies"],
        [{"kind": "sum-differs", "row": len(rows) + 1, "payment": answer["id"]}],
    )
    for _, account, _ in desks:
        await _enter(stage, told["id"], account)
    again = await bank.post(_PATH, content.encode("koi8-r"), f"{key}-2", expect=200)
    require_equal("payments that the same file makes again", again.json["created"], 0)
    stage.show.holds(
        f"{told['rows']} rows in {reply.seconds:.2f} s, recognised as {told['format']}:"
        f" {told['matched']} match payments taken online, {told['created']} are new and split,"
        f" {roubles(sum(amount for _, _, amount in desks))}; one is a kopeck off: sum-differs."
    )
    stage.show.holds(
        "With a footer that does not add up nothing of it was taken: control_total_mismatch."
        " The same file again, in KOI8-R, made nothing."
    )


def _at_desks(stage: Stage) -> list[tuple[str, str, int]]:
    """Payments that only the bank's desks know: operation, account, what was handed over."""
    rows = []
    accounts = set()
    for number, planned in enumerate(stage.payers.ordinary(stage.size.refunds)):
        account = planned.body["subscriber_account"]
        amount = planned.body.get("total") or planned.body["amount"]
        # Less than the surcharge leaves nothing to pay with, and is refused.
        if account not in accounts and amount > stage.region.surcharges["cash"]["min"]:
            accounts.add(account)
            rows.append((f"{stage.run}-desk-{number}", account, amount))
    return rows


def _file(stage: Stage, rows: list[tuple[str, str, int]]) -> str:
    """The rows in Sberbank's layout; a hundredth of each sum is the bank's fee."""
    moment = datetime.fromisoformat(stage.payers.paid_at)
    lines = []
    totals = [0, 0, 0]
    for operation, account, amount in rows:
        fee = amount // _FEE_PARTS
        sums = (amount, amount - fee, fee)
        totals = [total + one for total, one in zip(totals, sums, strict=True)]
        lines.append(
            f"{moment:%d-%m-%Y;%H-%M-%S};8644/0123;4;{operation};{account};Иванов И. И.;"
            f"г. Барнаул;1026;{_sums(sums)}"
        )
    lines.append(f"={len(rows)};{_sums(totals)};778;{moment:%d-%m-%Y}")
    return "\n".join([*lines, ""])


def _sums(sums: Any) -> str:
    return ";".join(f"{kopecks // 100},{kopecks % 100:02}" for kopecks in sums)


async def _enter(stage: Stage, report_id: str, account: str) -> None:
    """Enters the payment that a row made into the books, as GET shows it."""
    bank = stage.banks[1]
    found = (await bank.get(f"/v1/payments?subscriber_account={account}&limit=1000")).json
    made = [one for one in found["payments"] if one["method"].get("report") == report_id]
    require_equal(f"payments of the file to {account}", len(made), 1)
    stage.books.take(made[0])
