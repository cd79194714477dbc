"""The OSMP protocol of QIWI and of those who took it over: `command`, `txn_id`, `result` (pure)."""

from collections.abc import Mapping
from typing import Final

from gateway.billers import fields, xml
from gateway.domain import biller as words
from gateway.domain.bill import SUBSCRIBER_ACCOUNT
from gateway.domain.biller import CANCEL, CHECK, PAY, Asked, Told

COMMANDS: Final = {"check": CHECK, "pay": PAY, "cancel": CANCEL}

RESULTS: Final = {
    words.DONE: 0,
    words.REPEATED: 0,
    words.TEMPORARY: 1,
    words.BAD_ACCOUNT: 4,
    words.UNKNOWN_ACCOUNT: 5,
    words.FORBIDDEN: 7,
    words.TECHNICAL: 8,
    words.INACTIVE_ACCOUNT: 79,
    words.UNFINISHED: 90,
    words.TOO_SMALL: 241,
    words.TOO_BIG: 242,
    words.UNCHECKED: 243,
    words.UNKNOWN_COMMAND: 300,
    words.BAD_NUMBER: 300,
    words.BAD_AMOUNT: 300,
    words.BAD_DATE: 300,
    words.OTHER: 300,
}

COMMENTS: Final = {
    words.DONE: "",
    words.REPEATED: "Операция уже проведена",
    words.TEMPORARY: "Временная ошибка, повторите запрос позже",
    words.UNFINISHED: "Операция не закончена, повторите запрос",
    words.UNKNOWN_COMMAND: "Неизвестный запрос",
    words.BAD_NUMBER: "Неверный номер операции",
    words.BAD_ACCOUNT: "Неверный формат лицевого счёта",
    words.BAD_AMOUNT: "Неверная сумма",
    words.BAD_DATE: "Неверная дата операции",
    words.UNKNOWN_ACCOUNT: "Лицевой счёт не найден",
    words.INACTIVE_ACCOUNT: "Лицевой счёт не активен",
    words.TOO_SMALL: "Сумма слишком мала",
    words.TOO_BIG: "Сумма слишком велика",
    words.FORBIDDEN: "Операция запрещена",
    words.TECHNICAL: "Операция невозможна по техническим причинам",
    words.UNCHECKED: "Проверить лицевой счёт не удалось",
    words.OTHER: "Ошибка в запросе",
}


def read(told: Mapping[str, str] | None) -> Asked:
    """A request; what is wrong is found in the order command, number, account, sum, date."""
    return read_as(words.OSMP, told, COMMANDS, dated=False)


def read_as(
    protocol: str, told: Mapping[str, str] | None, commands: Mapping[str, str], dated: bool
) -> Asked:
    """The same under other commands; `dated`: a payment without its date is refused."""
    if told is None:
        return Asked(protocol=protocol, by_osmp_names=True, misread=words.OTHER)
    number = fields.number(told, "txn_id")
    cancels = fields.number(told, "cancel_txn_id")
    account = told.get("account", "")
    total = fields.kopecks(told["sum"]) if "sum" in told else None
    paid_at = fields.osmp_moment(told["txn_date"]) if "txn_date" in told else None
    command = commands.get(told.get("command", ""))
    is_pay = command == PAY
    has_account = SUBSCRIBER_ACCOUNT.fullmatch(account) is not None
    # A check may come without its number, and a cancellation names no account of its own.
    numbered = number is not None or (command == CHECK and "txn_id" not in told)
    rules = (
        (command is not None, words.UNKNOWN_COMMAND),
        (numbered, words.BAD_NUMBER),
        (command != CANCEL or cancels is not None, words.BAD_NUMBER),
        (command == CANCEL or has_account, words.BAD_ACCOUNT),
        (total is not None if is_pay or "sum" in told else True, words.BAD_AMOUNT),
        (paid_at is not None if "txn_date" in told or (is_pay and dated) else True, words.BAD_DATE),
    )
    return Asked(
        protocol=protocol,
        by_osmp_names=True,
        command=command or words.NO_COMMAND,
        number=number or "",
        account=account,
        total=total,
        paid_at=paid_at,
        cancels=cancels or "",
        misread=next((verdict for holds, verdict in rules if not holds), None),
    )


def write(asked: Asked, told: Told, results: Mapping[str, int] = RESULTS) -> bytes:
    """The answer in XML."""
    elements = [("osmp_txn_id", asked.number)]
    if told.number is not None:
        elements.append(("prv_txn", str(told.number)))
    if told.total is not None:
        elements.append(("sum", fields.roubles(told.total)))
    elements.append(("result", str(results[told.verdict])))
    elements.append(("comment", COMMENTS[told.verdict]))
    named = []
    if told.due is not None:
        named = [("fio", told.payer), ("address", told.address)]
        named += [("balance", fields.roubles(told.due))]
        named += [("rec_sum", fields.roubles(told.recommended or 0))]
    return xml.response(elements, named)
