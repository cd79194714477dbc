"""The evening: the day is closed, approved by a second person, and paid; reports explain it."""

import csv
import io
from typing import Any

from gateway.demo import banking, debts
from gateway.demo.books import check_positions, require, require_equal, sum_of
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

_MONEY = ("gross", "commission", "refunds", "net", "transferred", "payable")
_DOCUMENT = "СекцияДокумент="
_DOCUMENT_END = "КонецДокумента"
_SUM = "Сумма="
_REPORT_HEAD = (
    "accepted_at;subscriber_account;service;period;gross_kopecks;commission_kopecks;"
    "net_kopecks;payment"
)

Answer = dict[str, Any]


async def settle(stage: Stage) -> None:
    """Closes the day, has it approved, fetches the bank's file and every report."""
    stage.show.chapter("The day is closed: who is owed what")
    closed: Answer = (
        await stage.operator.post("/v1/settlement-batches", {}, f"{stage.run}-close")
    ).json
    _show_positions(stage, closed)
    stage.show.chapter("A company's share covers its debt to a supplier")
    await debts.show(stage, closed)
    stage.show.chapter("A second person approves, and the bank's file is made")
    await _approve(stage, closed)
    content = await _payout_file(stage, closed)
    stage.show.chapter("Every recipient can explain its order")
    await _reports(stage, closed)
    await banking.follow(stage, closed, content)


def _show_positions(stage: Stage, batch: Answer) -> None:
    books, positions = stage.books, batch["positions"]
    require_equal("the batch's state", batch["state"], "closed")
    require_equal("payments in the batch", batch["payments"], books.settled)
    rows = [[one["recipient"], *(one[name] for name in _MONEY)] for one in positions]
    totals = {name: sum_of(positions, name) for name in _MONEY}
    columns = ["recipient", *(f"{name}>" for name in _MONEY)]
    stage.show.table(columns, rows, ["together", *totals.values()])
    check_positions(books, positions)
    stage.show.holds(
        f"{batch['id']}: {batch['payments']} payments, each position equal to what the answers"
        " of the day add up to."
    )
    terms = (books.acquirers_owe, totals["net"], totals["commission"])
    owed, net, commission = terms
    surcharge, suspense = books.surcharge, books.suspense
    require_equal("what acquirers owe", owed, net + commission + surcharge + suspense)
    stage.show.holds("acquirer owes = recipients + commission + surcharge + suspense")
    stage.show.say(
        f"  {roubles(owed)} = {roubles(net)} + {roubles(commission)} + {roubles(surcharge)}"
        f" + {roubles(suspense)}"
    )


async def _approve(stage: Stage, batch: Answer) -> None:
    path = f"/v1/settlement-batches/{batch['id']}"
    early = await stage.operator.get(f"{path}/payout-file?format=1c", expect=409)
    require_equal("the code of a file asked for too early", early.code, "state_conflict")
    stage.show.holds("No file before approval: 409 state_conflict.")
    key = f"{stage.run}-approve"
    alone = await stage.operator.post(f"{path}/approve", {}, key, expect=403)
    require_equal("the code of an approval by the closer", alone.code, "forbidden")
    stage.show.holds("The operator who closed the day cannot approve it: 403 forbidden.")
    approved = (await stage.approver.post(f"{path}/approve", {}, key, expect=200)).json
    require_equal("the batch's state", approved["state"], "approved")
    stage.show.holds(f"{stage.approver.name} approves: state approved.")


async def _payout_file(stage: Stage, batch: Answer) -> bytes:
    """The bank's file in every form; the bytes of the 1C one."""
    base = f"/v1/settlement-batches/{batch['id']}/payout-file"
    for name, ending in (("ed101", "xml"), ("pain001", "xml")):
        other = (await stage.operator.get(f"{base}?format={name}")).content
        (stage.out / f"payouts-{stage.run}.{name}.{ending}").write_bytes(other)
    path = f"{base}?format=1c"
    content = (await stage.operator.get(path)).content
    again = (await stage.operator.get(path)).content
    require(content == again, "Expected the same bytes of a payout file, was another")
    lines = content.decode("cp1251").split("\r\n")
    sums = [_kopecks(line) for line in lines if line.startswith(_SUM)]
    payable = [one["payable"] for one in batch["positions"] if one["payable"] > 0]
    require_equal("orders in the file", sorted(sums), sorted(payable))
    kept = stage.out / f"payouts-{stage.run}.1c.txt"
    kept.write_bytes(content)
    first = next(at for at, line in enumerate(lines) if line.startswith(_DOCUMENT))
    stage.show.verbatim(lines[first : lines.index(_DOCUMENT_END, first) + 1])
    stage.show.holds(
        f"{len(sums)} payment orders, {roubles(sum(sums))} together, as the positions say;"
        f" the same bytes at every request. {kept}, and as ED101 and pain.001"
    )
    return content


def _kopecks(line: str) -> int:
    """The kopecks of a line like `Сумма=1234.56`."""
    whole, _, rest = line.removeprefix(_SUM).partition(".")
    require(len(rest) == 2, f"Expected two decimals in a payment order, was {line}")
    return int(whole + rest)


async def _reports(stage: Stage, batch: Answer) -> None:
    rows = []
    payers = {bill.subscriber_account: bill.payer for bill in stage.region.bills}
    for position in batch["positions"]:
        recipient = position["recipient"]
        path = f"/v1/settlement-batches/{batch['id']}/reports/{recipient}?format=csv"
        content = (await stage.operator.get(path)).content
        (stage.out / f"report-{stage.run}-{recipient}.csv").write_bytes(content)
        rows.append([recipient, *_checked_report(stage, batch["id"], position, content, payers)])
    columns = ["report of", "rows>", "gross less refunds>", "commission>", "debts>", "adds up to>"]
    stage.show.table(columns, rows)
    own = f"/v1/settlement-batches/{batch['id']}/reports"
    mine = (await stage.heat_office.get(f"{own}/heat?format=csv")).content
    kept = (stage.out / f"report-{stage.run}-heat.csv").read_bytes()
    require(mine == kept, "Expected the recipient's own report the same, was another")
    await stage.heat_office.get(f"{own}/water?format=csv", expect=403)
    stage.show.holds(
        f"The rows of each report add up to its position, debts and all, and name the payer and"
        f" address of the bill. {stage.heat_office.name} reads its own"
        " with its own key, and another's report is refused to it: 403."
    )
    stage.show.say(f"{len(rows)} reports in {stage.out}")


def _checked_report(
    stage: Stage, batch: str, position: Answer, content: bytes, payers: dict[str, Any]
) -> list[str | int]:
    """Rows and sums of a report; DemoFailed where they are not the position to the kopeck."""
    recipient, text = position["recipient"], content.decode("utf-8-sig")
    require(text.startswith(_REPORT_HEAD), f"Expected the header of a report, was {text[:40]}")
    found = list(csv.DictReader(io.StringIO(text), delimiter=";"))
    shares = [row for row in found if row["payment"]]
    gross, commission, net = (
        sum(int(row[f"{name}_kopecks"]) for row in shares)
        for name in ("gross", "commission", "net")
    )
    for row in shares:
        told = {name: row["payer" if name == "name" else name] for name in ("name", "address")}
        require_equal("the payer that a row names", told, payers[row["subscriber_account"]])
        require_equal("the report that a row names", row["report"], batch)
    require_equal(f"report rows of {recipient}", len(shares), stage.books.lines[recipient].rows)
    require_equal(f"report gross of {recipient}", gross, position["gross"] - position["refunds"])
    require_equal(f"report commission of {recipient}", commission, position["commission"])
    require_equal(f"report net of {recipient}", net, position["net"])
    brought = debts.transferred(found)
    require_equal(f"debts in the report of {recipient}", brought, position["transferred"])
    return [str(len(found)), gross, commission, brought, net + brought]
