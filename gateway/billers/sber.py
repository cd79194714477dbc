"""Sberbank's two biller protocols: №1 with names of its own, №2 with OSMP's names (pure).

Which of them a request is in is told by its first parameter's name, ACTION or command.
"""

from collections.abc import Mapping
from typing import Final

from gateway.billers import fields, osmp, xml
from gateway.domain import biller as words
from gateway.domain.bill import SUBSCRIBER_ACCOUNT
from gateway.domain.biller import CHECK, PAY, Asked, Told

ACTIONS: Final = {"check": CHECK, "payment": PAY}
COMMANDS: Final = {"check": CHECK, "pay": PAY, "payment": PAY}

CODES: Final = {
    words.DONE: 0,
    words.TEMPORARY: 1,
    words.UNFINISHED: 1,
    words.UNCHECKED: 1,
    words.UNKNOWN_COMMAND: 2,
    words.UNKNOWN_ACCOUNT: 3,
    words.BAD_ACCOUNT: 4,
    words.INACTIVE_ACCOUNT: 5,
    words.BAD_NUMBER: 6,
    words.FORBIDDEN: 7,
    words.TECHNICAL: 7,
    words.REPEATED: 8,
    words.BAD_AMOUNT: 9,
    words.TOO_SMALL: 10,
    words.TOO_BIG: 11,
    words.BAD_DATE: 12,
    words.OTHER: 300,
}


def read(told: Mapping[str, str] | None) -> Asked:
    """A request; what is wrong is found in the order command, number, account, sum, date."""
    if told is None:
        return Asked(protocol=words.SBER, by_osmp_names=False, misread=words.OTHER)
    if "command" in told and "action" not in told:
        return osmp.read_as(words.SBER, told, COMMANDS, dated=True)
    command = ACTIONS.get(told.get("action", ""))
    number = fields.number(told, "pay_id")
    account = told.get("account", "")
    total = fields.kopecks(told["amount"]) if "amount" in told else None
    paid_at = fields.sber_moment(told["pay_date"]) if "pay_date" in told else None
    is_pay = command == PAY
    rules = (
        (command is not None, words.UNKNOWN_COMMAND),
        (number is not None if is_pay or "pay_id" in told else True, words.BAD_NUMBER),
        (SUBSCRIBER_ACCOUNT.fullmatch(account) is not None, words.BAD_ACCOUNT),
        (total is not None if is_pay or "amount" in told else True, words.BAD_AMOUNT),
        (paid_at is not None if is_pay or "pay_date" in told else True, words.BAD_DATE),
    )
    return Asked(
        protocol=words.SBER,
        by_osmp_names=False,
        command=command or words.NO_COMMAND,
        number=number or "",
        account=account,
        total=total,
        paid_at=paid_at,
        misread=next((verdict for holds, verdict in rules if not holds), None),
    )


def write(asked: Asked, told: Told) -> bytes:
    """The answer in XML, in the protocol that was asked by."""
    if asked.by_osmp_names:
        return osmp.write(asked, told, CODES)
    elements = [("CODE", str(CODES[told.verdict])), ("MESSAGE", osmp.COMMENTS[told.verdict])]
    if told.due is not None:
        elements += [("FIO", told.payer), ("ADDRESS", told.address)]
        elements += [("BALANCE", fields.roubles(told.due))]
        elements += [("REC_SUM", fields.roubles(told.recommended or 0)), ("INFO", "")]
    if told.number is not None:
        elements.append(("EXT_ID", str(told.number)))
    if told.at is not None:
        elements.append(("REG_DATE", fields.sber_time(told.at)))
    if told.total is not None:
        elements.append(("AMOUNT", fields.roubles(told.total)))
    return xml.response(elements)
