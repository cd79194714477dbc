"""1CClientBankExchange 1.03: the text file that client-bank programs take orders from.

windows-1251, CRLF, a `Key=Value` a line; the form is 1C's own (v8.1c.ru, exchange with banks).
Must not write what is not asked for: `Код=0` breaks older imports, so no empty key is written.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Final

from gateway.payouts.files.order import Order, Party, check_orders, refused

ENCODING: Final = "cp1251"
SENDER: Final = "Kopeck"
_DOCUMENT: Final = "Платежное поручение"
_DATE: Final = "%d.%m.%Y"
_TIME: Final = "%H:%M:%S"


def write(payer: Party, orders: Sequence[Order], created: datetime) -> bytes:
    """The file's bytes; `created` is told in the payer's bank's own time.

    Refusal state_conflict, account_key_invalid or inn_invalid before any byte is made: also
    for a line break or a character outside windows-1251 in a value. No orders make a file
    without documents.
    """
    check_orders(payer, orders)
    lines = ["1CClientBankExchange"]
    lines += _lines("header", _header(payer, orders, created))
    for order in orders:
        lines += _lines(f"order {order.number}", _document(payer, order))
        lines.append("КонецДокумента")
    lines.append("КонецФайла")
    return "".join(f"{line}\r\n" for line in lines).encode(ENCODING)


def _header(
    payer: Party, orders: Sequence[Order], created: datetime
) -> Iterator[tuple[str, str | None]]:
    days = [order.date for order in orders] or [created.date()]
    yield "ВерсияФормата", "1.03"
    yield "Кодировка", "Windows"
    yield "Отправитель", SENDER
    yield "Получатель", payer.bank_name
    yield "ДатаСоздания", created.strftime(_DATE)
    yield "ВремяСоздания", created.strftime(_TIME)
    yield "ДатаНачала", _day(min(days))
    yield "ДатаКонца", _day(max(days))
    yield "РасчСчет", payer.account


def _document(payer: Party, order: Order) -> Iterator[tuple[str, str | None]]:
    yield "СекцияДокумент", _DOCUMENT
    yield "Номер", str(order.number)
    yield "Дата", _day(order.date)
    yield "Сумма", f"{order.amount_kopecks // 100}.{order.amount_kopecks % 100:02d}"
    yield from _party("Плательщик", payer)
    yield from _party("Получатель", order.recipient)
    yield "ВидОплаты", order.kind
    yield "Очередность", str(order.priority)
    yield "НазначениеПлатежа", order.purpose


def _party(role: str, party: Party) -> Iterator[tuple[str, str | None]]:
    """`role` alone is the line a bank prints, with INN; `role`1 is the bare name."""
    yield f"{role}Счет", party.account
    yield role, f"ИНН {party.inn} {party.name}"
    yield f"{role}ИНН", party.inn
    yield f"{role}КПП", party.kpp
    yield f"{role}1", party.name
    yield f"{role}РасчСчет", party.account
    yield f"{role}Банк1", party.bank_name
    yield f"{role}БИК", party.bic
    yield f"{role}Корсчет", party.correspondent


def _lines(place: str, pairs: Iterator[tuple[str, str | None]]) -> Iterator[str]:
    for key, value in pairs:
        if value is None:
            continue
        if any(c < " " or c == "\x7f" for c in value):
            raise refused(place, f"{key} on one line", "a control character")
        try:
            value.encode(ENCODING)
        except UnicodeEncodeError:
            raise refused(place, f"{key} in windows-1251", "another character") from None
        yield f"{key}={value}"


def _day(day: date) -> str:
    return day.strftime(_DATE)
