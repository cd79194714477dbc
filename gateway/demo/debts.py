"""Debts of companies to suppliers: a registry in the morning, and in the evening what it moved."""

from typing import Any

from gateway.demo import names
from gateway.demo.books import Line, require, require_equal, sum_of
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

Answer = dict[str, Any]
_PATH = "/v1/obligation-files"
# One is covered by what households pay the company for housing in a day, with more to spare; the
# other takes all that its company earns, for many days to come.
_COVERED, _UNCOVERED = 500_000, 2_500_000_000
_SERVICE = "housing"
_DEBTORS = (names.RIVERSIDE.id, names.PINES.id)
_CREDITORS = (names.HEAT.id, names.WATER.id)


async def load(stage: Stage) -> None:
    """Loads a registry as a spreadsheet saves it, its line of totals with it."""
    numbers = _documents(stage)
    debts = zip(_DEBTORS, _CREDITORS, (_COVERED, _UNCOVERED), numbers, (_SERVICE, ""), strict=True)
    lines = [
        "должник;кредитор;сумма;номер документа;дата документа;услуги",
        *(
            f"{debtor};{creditor};{amount // 100},{amount % 100:02};{number};30.09.2026;{service}"
            for debtor, creditor, amount, number, service in debts
        ),
        f"Итого;;{(_COVERED + _UNCOVERED) // 100},00;;;",
    ]
    content = "\r\n".join([*lines, ""]).encode("cp1251")
    (stage.out / f"debts-{stage.run}.csv").write_bytes(content)
    reply = await stage.operator.post(_PATH, content, f"{stage.run}-debts", 200, "text/csv")
    answer: Answer = reply.json
    loaded = (answer["accepted"], answer["amount"], answer["known"])
    require_equal("debts loaded", loaded, (2, _COVERED + _UNCOVERED, 0))
    refused = [(one["line"], one["code"]) for one in answer["refused"]]
    require_equal("lines of debts refused", refused, [(4, "malformed")])
    again = (
        await stage.operator.post(_PATH, content, f"{stage.run}-debts-2", 200, "text/csv")
    ).json
    require_equal("debts known in the same file", (again["accepted"], again["known"]), (0, 2))
    stage.show.holds(
        f"A registry of debts, CSV in windows-1251: 2 of {roubles(answer['amount'])}, its line of"
        " totals named and left out; the same file again owes nothing twice."
    )


async def show(stage: Stage, batch: Answer) -> None:
    """What the day paid on debts, against our own books, and what remains."""
    found = {
        one["document_number"]: one
        for one in (await stage.operator.get("/v1/obligations?limit=1000")).json["obligations"]
    }
    rows = []
    for one in batch["transfers"]:
        debt = found[one["document_number"]]
        left = debt["remaining"]
        words = [one["debtor"], one["creditor"], one["document_number"], one["service"]]
        rows.append([*words, one["amount"], left])
    columns = ["owes", "is paid", "document", "out of", "paid today>", "still owed>"]
    stage.show.table(columns, rows)
    covered = found[_documents(stage)[0]]
    require_equal("what remains of the small debt", covered["remaining"], 0)
    debtor, taken = _DEBTORS[1], [t for t in batch["transfers"] if t["debtor"] == _DEBTORS[1]]
    # It has no commission, so what it earned is what its books say, and all of it goes.
    earned = stage.books.lines.get(debtor, Line()).net
    require_equal(f"what debts took of {debtor}", sum_of(taken, "amount"), earned)
    moved = sum_of(batch["positions"], "transferred")
    require_equal("what transfers make of all positions together", moved, 0)
    await _seen_by(stage, _CREDITORS[0], covered)
    stage.show.holds(
        f"{covered['debtor']} has paid {covered['creditor']} its {roubles(_COVERED)} out of"
        f" {_SERVICE} and keeps the rest; {debtor} earned {roubles(earned)}, all of which goes to"
        f" {_CREDITORS[1]}. No payment was split otherwise for it."
    )


def transferred(rows: list[dict[str, str]]) -> int:
    """What a report's rows of obligations brought a recipient, below zero where they took."""
    found = [row for row in rows if row["kind"] == "obligation"]
    for row in found:
        require(bool(row["counterpart"] and row["document"]), "Expected a row to name its debt")
    return sum(int(row["net_kopecks"]) for row in found)


async def _seen_by(stage: Stage, creditor: str, debt: Answer) -> None:
    """The creditor's own key sees the debt, and none of others'."""
    told = (await stage.heat_office.get("/v1/obligations?limit=1000")).json["obligations"]
    require(debt["id"] in [one["id"] for one in told], "Expected a creditor to see its debt")
    for one in told:
        require(creditor in (one["debtor"], one["creditor"]), "Expected nobody else's debts")


def _documents(stage: Stage) -> tuple[str, str]:
    return f"УО-17/{stage.run}", f"УО-18/{stage.run}"
