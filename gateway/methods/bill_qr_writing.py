"""The text of a bill's QR code (`ST00012|…`, GOST R 56042-2014), as the apps of banks read it.

Pure. Always UTF-8, which every app reads; the five mandatory fields come first and in their order,
as some apps take no other. What the standard bounds is cut to its bounds.
"""

from typing import Final

from msgspec import Struct

from gateway.methods.bill_qr_fields import clean_value

NAME_LENGTH_MAX: Final = 160
BANK_NAME_LENGTH_MAX: Final = 45
PURPOSE_LENGTH_MAX: Final = 210
MANDATORY_BYTES_MAX: Final = 300
"""Header and mandatory fields together, in UTF-8."""

_HEADER: Final = "ST00012"
_NO_ACCOUNT: Final = "0"
# Utilities.
_TECH_CODE: Final = "02"
# The usual one, then whatever no value holds.
_SEPARATORS: Final = "|#;:^_~{}!$%&()*+,/@"


class BillToPrint(Struct, frozen=True):
    """Whom a bill is paid to, for which account and period (YYYY-MM), and how many kopecks.

    `corresp_acc` is None where the bank has none; without `sum_kopecks` the payer names the sum.
    """

    name: str
    personal_acc: str
    bank_name: str
    bic: str
    corresp_acc: str | None
    payee_inn: str
    kpp: str | None
    subscriber_account: str
    period: str
    purpose: str
    sum_kopecks: int | None


def write(bill: BillToPrint) -> str:
    """The text to be drawn, in UTF-8."""
    year, _, month = bill.period.partition("-")
    told = {
        "Name": clean_value(bill.name)[:NAME_LENGTH_MAX],
        "PersonalAcc": bill.personal_acc,
        "BankName": clean_value(bill.bank_name)[:BANK_NAME_LENGTH_MAX].rstrip(),
        "BIC": bill.bic,
        "CorrespAcc": bill.corresp_acc or _NO_ACCOUNT,
    }
    room = MANDATORY_BYTES_MAX - len(_joined("|", told | {"Name": ""}).encode())
    told["Name"] = _cut(told["Name"], room)
    told |= {
        "Sum": "" if bill.sum_kopecks is None else str(bill.sum_kopecks),
        "PersAcc": bill.subscriber_account,
        "PaymPeriod": f"{month}{year}",
        "PayeeINN": bill.payee_inn,
        "KPP": bill.kpp or "",
        "Purpose": clean_value(bill.purpose)[:PURPOSE_LENGTH_MAX].rstrip(),
        "TechCode": _TECH_CODE,
    }
    told = {name: value for name, value in told.items() if value}
    values = "".join(told.values())
    for separator in _SEPARATORS:
        if separator not in values:
            return _joined(separator, told)
    usual = _SEPARATORS[0]
    return _joined(usual, {name: value.replace(usual, " ") for name, value in told.items()})


def _joined(separator: str, told: dict[str, str]) -> str:
    return separator.join([_HEADER, *(f"{name}={value}" for name, value in told.items())])


def _cut(text: str, bytes_max: int) -> str:
    """As many whole characters as there is room for."""
    return text.encode()[:bytes_max].decode(errors="ignore").rstrip()
