"""The payment order that YooKassa wants with every payment for housing (pure).

It names who is paid and whose account is paid for, and goes on to the state's register of housing
payments. Limits are the ones YooKassa documents; what does not fit is not sent at all.
"""

import re
from collections.abc import Mapping
from typing import Final

from gateway.acquirers.wire import in_roubles
from gateway.acquirers.words import Order
from gateway.domain.party import BankAccount, Recipient

PURPOSE_MAX: Final = 210
BANK_NAME_MAX: Final = 45
ACCOUNT_NUMBER_MAX: Final = 30
NAME_MAX: Final = 160
KBK_MAX: Final = 20
OKTMO_MAX: Final = 8
YEARS: Final = (1920, 2050)

# A unified account (10), with the service (13), with the payment document (18).
_UNIFIED: Final = re.compile(r"([0-9]{2}[А-Я]{2}[0-9]{6})(-[0-9]{2}(-[0-9]{4})?)?")
# Letters of these accounts are Cyrillic, and are often typed in Latin ones that look the same.
_CYRILLIC: Final = str.maketrans("ABCEHKMOPTXY", "АВСЕНКМОРТХУ")
_NAMES: Final = {10: "unified_account_number", 13: "service_id", 18: "payment_document_id"}


class Unfit(ValueError):
    """What a payment says of itself does not fit what YooKassa takes; the message names a field."""


def payment_order(order: Order, options: Mapping[str, str]) -> dict[str, object]:
    """The object `payment_order`; raises Unfit.

    Options: `bank_name` of the recipient's bank, `kbk` and `oktmo` where a centre has them.
    """
    told = order.utilities
    _within("payment_purpose", told.purpose, PURPOSE_MAX)
    built: dict[str, object] = {
        "type": "utilities",
        "amount": {"value": in_roubles(order.total), "currency": "RUB"},
        "payment_purpose": told.purpose,
        "recipient": _recipient(told.recipient, options),
        **_account(told.subscriber_account),
    }
    if told.period is not None:
        year, month = told.period
        if not (YEARS[0] <= year <= YEARS[1] and 1 <= month <= 12):
            raise Unfit("payment_period")
        built["payment_period"] = {"month": month, "year": year}
    for name, length_max in (("kbk", KBK_MAX), ("oktmo", OKTMO_MAX)):
        if name in options:
            _within(name, options[name], length_max)
            built[name] = options[name]
    return built


def unified(account: str) -> str | None:
    """A unified account's number in its own letters, whatever letters it was typed in."""
    folded = account.upper().translate(_CYRILLIC)
    return folded if _UNIFIED.fullmatch(folded) else None


def _account(subscriber_account: str) -> dict[str, str]:
    _within("account_number", subscriber_account, ACCOUNT_NUMBER_MAX)
    found = {"account_number": subscriber_account}
    number = unified(subscriber_account)
    if number is not None:
        found[_NAMES[len(number)]] = number
    return found


def _recipient(recipient: Recipient | None, options: Mapping[str, str]) -> dict[str, object]:
    if recipient is None or recipient.kpp is None:
        raise Unfit("recipient")
    _within("recipient.name", recipient.name, NAME_MAX)
    return {
        "name": recipient.name,
        "inn": recipient.inn,
        "kpp": recipient.kpp,
        "bank": _bank(recipient.bank_account, options),
    }


def _bank(account: BankAccount, options: Mapping[str, str]) -> dict[str, str]:
    name = options.get("bank_name", "")
    _within("recipient.bank.name", name, BANK_NAME_MAX)
    if account.correspondent is None:
        raise Unfit("recipient.bank.correspondent_account")
    return {
        "name": name,
        "bic": account.bic,
        "account": account.number,
        "correspondent_account": account.correspondent,
    }


def _within(name: str, value: str, length_max: int) -> None:
    if not 1 <= len(value) <= length_max:
        raise Unfit(name)
