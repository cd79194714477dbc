"""Days later: the bank's statement says what it paid and what came back, which is paid again."""

from datetime import date, timedelta
from typing import Any

from gateway.demo.books import require, require_equal
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

Answer = dict[str, Any]
Document = dict[str, str]
_PATH = "/v1/bank-statements?format=auto"
_OPENING = 10**13


async def follow(stage: Stage, batch: Answer, content: bytes) -> None:
    """Plays the bank to the payout file of an approved batch until nothing is in flight."""
    stage.show.chapter("The bank's statement: what was paid, and what came back")
    orders = _orders(content)
    back = min(orders, key=lambda order: int(order["Номер"]))
    taken = await _take(stage, "statement", _statement(orders, [back]))
    require_equal("orders executed", len(taken["executed"]), len(orders))
    (returned,) = taken["returned"]
    amount, recipient = _kopecks(back), returned["recipient"]
    require_equal("what came back", returned["amount"], amount)
    require_equal("lines that nobody knows", taken["discrepancies"], [])
    wrong = _statement(orders, [back], off=1)
    refused = await stage.operator.post(_PATH, wrong, f"{stage.run}-wrong", 422, "text/plain")
    require_equal("the code of a balance that is off", refused.code, "control_total_mismatch")
    again = await _take(stage, "statement-again", _statement(orders, [back]))
    require_equal("the same statement", again, taken)
    stage.show.holds(
        f"{len(orders)} orders executed; {roubles(amount)} of {recipient} came back, and is owed"
        " to it again. A balance a kopeck off is refused whole: control_total_mismatch. The same"
        " statement again changes nothing."
    )
    await _pay_again(stage, recipient, back, amount)
    shown = (await stage.operator.get(f"/v1/settlement-batches/{batch['id']}")).json
    require_equal("the batch's state", shown["state"], "partially_executed")


async def _pay_again(stage: Stage, recipient: str, back: Document, amount: int) -> None:
    """The next batch pays what came back, under a number of its own."""
    closed = (await stage.operator.post("/v1/settlement-batches", {}, f"{stage.run}-again")).json
    position = next(one for one in closed["positions"] if one["recipient"] == recipient)
    require_equal(f"money back of {recipient}", position["returned"], amount)
    path = f"/v1/settlement-batches/{closed['id']}"
    await stage.approver.post(f"{path}/approve", {}, f"{stage.run}-approve-again", 200)
    claim = await stage.operator.post(f"{path}/send", {}, f"{stage.run}-send", 200)
    require_equal("the batch's state", claim.json["state"], "sent")
    other = await stage.operator.post(f"{path}/send", {}, f"{stage.run}-send-2", 409)
    require_equal("the code of a second claim", other.code, "state_conflict")
    content = (await stage.operator.get(f"{path}/payout-file?format=1c")).content
    orders = _orders(content)
    order = next(one for one in orders if one["ПолучательСчет"] == back["ПолучательСчет"])
    require_equal(f"the order of {recipient}", _kopecks(order), position["payable"])
    require(order["Номер"] != back["Номер"], "Expected a new number of the order, was the old one")
    await _take(stage, "statement-last", _statement(orders, []))
    shown = (await stage.operator.get(path)).json
    require_equal("the batch's state", shown["state"], "executed")
    stage.show.holds(
        f"The next batch pays it by order {order['Номер']} instead of {back['Номер']}; two claim"
        " the batch for sending, one is refused, 409. Executed: nothing is in flight."
    )


async def _take(stage: Stage, name: str, content: bytes) -> Answer:
    reply = await stage.operator.post(_PATH, content, f"{stage.run}-{name}", 200, "text/plain")
    (stage.out / f"{name}-{stage.run}.1c.txt").write_bytes(content)
    answer: Answer = reply.json
    return answer


def _orders(content: bytes) -> list[Document]:
    """The documents of a payout file."""
    orders: list[Document] = []
    for line in content.decode("cp1251").split("\r\n"):
        key, _, value = line.partition("=")
        if key == "СекцияДокумент":
            orders.append({})
        if orders:
            orders[-1][key] = value
    return orders


def _kopecks(order: Document) -> int:
    return int(order["Сумма"].replace(".", ""))


def _statement(paid: list[Document], back: list[Document], off: int = 0) -> bytes:
    """What the bank says: each order paid, some given back three days later."""
    left, came = sum(map(_kopecks, paid)), sum(map(_kopecks, back))
    own = paid[0]["ПлательщикСчет"]
    sums = {
        "НачальныйОстаток": _OPENING,
        "ВсегоПоступило": came,
        "ВсегоСписано": left,
        "КонечныйОстаток": _OPENING + came - left + off,
    }
    lines = ["1CClientBankExchange", "ВерсияФормата=1.03", "Кодировка=Windows"]
    lines += ["СекцияРасчСчет", f"РасчСчет={own}"]
    lines += [f"{name}={kopecks // 100}.{kopecks % 100:02}" for name, kopecks in sums.items()]
    lines.append("КонецРасчСчет")
    for order in paid:
        lines += _document({**order, "ДатаСписано": order["Дата"]})
    for order in back:
        lines += _document(_given_back(order))
    return "\r\n".join([*lines, "КонецФайла", ""]).encode("cp1251")


def _given_back(order: Document) -> Document:
    day, month, year = map(int, order["Дата"].split("."))
    later = date(year, month, day) + timedelta(days=3)
    return {
        "Номер": f"9{order['Номер']}"[-6:],
        "Дата": f"{later:%d.%m.%Y}",
        "ДатаПоступило": f"{later:%d.%m.%Y}",
        "Сумма": order["Сумма"],
        "ПлательщикСчет": order["ПолучательСчет"],
        "ПолучательСчет": order["ПлательщикСчет"],
        "НазначениеПлатежа": f"Возврат по п/п № {order['Номер']} от {order['Дата']}, счет закрыт",
    }


def _document(fields: Document) -> list[str]:
    told = [f"{key}={value}" for key, value in fields.items() if value and "Секция" not in key]
    return ["СекцияДокумент=Платежное поручение", *told, "КонецДокумента"]
