"""What an act says of one recipient and batch (pure): words and sums for the template act.typ.

Must not count money anew: all but the tax within the commission is the position's own.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import orjson
from msgspec import Struct

from gateway.settlement.roubles_in_words import in_words
from gateway.settlement.store import PositionRow

PERCENT: Final = 100


class Side(Struct, frozen=True):
    """One of the two that sign, with the account that money comes from or goes to."""

    name: str
    inn: str
    kpp: str | None
    account: str
    bic: str


class Act(Struct, frozen=True):
    """Everything that an act is made of; `vat_percent` 0: the commission is not subject to VAT.

    `paid_before` is what the position's `returned` has of orders that the database had lost, in
    kopecks: below 0 what was paid.
    """

    batch: str
    number: int
    business_date: date
    first_day: date
    centre: Side
    recipient: Side
    contract: str | None
    contract_date: date | None
    position: PositionRow
    order_date: date | None
    vat_percent: int
    root: str
    paid_before: int = 0


def tax_within(commission: int, percent: int) -> int:
    """Kopecks of VAT that a commission has in it, half-up; below zero as the commission is."""
    whole = PERCENT + percent
    tax = (2 * abs(commission) * percent + whole) // (2 * whole)
    return tax if commission >= 0 else -tax


def said(act: Act) -> bytes:
    """The act as JSON for its template."""
    position = act.position
    day = _day(act.business_date)
    told: dict[str, Any] = {
        "title": f"Акт № {act.number} от {day}",
        "subtitle": "о принятых и перечисленных платежах населения и об оказанных услугах",
        "date": [act.business_date.year, act.business_date.month, act.business_date.day],
        "centre": _side(act.centre),
        "recipient": _side(act.recipient),
        "contract": _contract(act),
        "period": day if act.first_day == act.business_date else f"{_day(act.first_day)} – {day}",
        "rows": _rows(act),
        "payable_in_words": in_words(position.payable),
        "commission_in_words": in_words(position.commission),
        "vat": _vat(act),
        "order": _order(act),
        "batch": f"{act.number} от {day} ({act.batch})",
        "root": act.root,
    }
    return orjson.dumps(told)


def _rows(act: Act) -> list[dict[str, object]]:
    position = act.position
    rows: Sequence[tuple[str, int, bool]] = (
        ("Принято платежей населения", position.gross, False),
        ("Возвращено и снято по уточнениям и оспоренным платежам", -position.refunds, False),
        (f"Вознаграждение расчётного центра, {_vat(act)}", -position.commission, False),
        ("Причитается получателю за период", position.net, True),
        ("Остаток (долг – со знаком минус) прошлых периодов", position.carried_in, False),
        ("Возвращено банком и погашено ранее", position.returned - act.paid_before, False),
        *([("Выплачено ранее по данным банка", act.paid_before, False)] if act.paid_before else []),
        ("Расчёты по обязательствам между получателями", position.transferred, False),
        ("К выплате", position.payable, True),
        ("Переносится на следующий период", position.carried_out, False),
    )
    return [
        {"number": str(at), "name": name, "sum": roubles(kopecks), "bold": bold}
        for at, (name, kopecks, bold) in enumerate(rows, 1)
    ]


def roubles(kopecks: int) -> str:
    """123456 as 1 234,56, with spaces that do not break and a true minus."""
    whole, rest = divmod(abs(kopecks), PERCENT)
    text = f"{whole:,},{rest:02d}".replace(",", "\u00a0", max(0, (len(str(whole)) - 1) // 3))
    return f"\u2212{text}" if kopecks < 0 else text


def _vat(act: Act) -> str:
    if not act.vat_percent:
        return "НДС не облагается"
    tax = roubles(tax_within(act.position.commission, act.vat_percent))
    return f"в том числе НДС {act.vat_percent}\u00a0% – {tax}\u00a0руб."


def _order(act: Act) -> str:
    position = act.position
    if position.payable == 0:
        return "Выплата за период не производится."
    if act.order_date is None or position.order_number is None:
        return "Платёжное поручение ещё не составлено."
    return (
        f"Платёжное поручение № {position.order_number} от {_day(act.order_date)}"
        f" на счёт {act.recipient.account}."
    )


def _contract(act: Act) -> str:
    if act.contract is None:
        return "договор присоединения"
    return act.contract + ("" if act.contract_date is None else f" (с {_day(act.contract_date)})")


def _side(side: Side) -> dict[str, str | None]:
    return {name: getattr(side, name) for name in side.__struct_fields__}


def _day(day: date) -> str:
    return day.strftime("%d.%m.%Y")
