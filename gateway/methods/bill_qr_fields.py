"""Fields of a bill's QR (GOST R 56042-2014): names as they are met, values as they should be.

Pure text work in linear time; nothing here refuses, what cannot be read is None.
"""

import re
from typing import Final

# Keys with the length that the standard allows; None where it names no length.
_FIELDS: Final[dict[str, int | None]] = {
    # The mandatory block, in the order in which it is written.
    "Name": 160,
    "PersonalAcc": 20,
    "BankName": 45,
    "BIC": 9,
    "CorrespAcc": 20,
    # Additional fields.
    "Sum": 18,
    "Purpose": 210,
    "PayeeINN": 12,
    "PayerINN": 12,
    "DrawerStatus": 2,
    "KPP": 9,
    "CBC": 20,
    "OKTMO": 11,
    "PaytReason": 2,
    "TaxPeriod": 10,
    "DocNo": 15,
    "DocDate": 10,
    "TaxPaytKind": 2,
    **dict.fromkeys(
        [
            "LastName",
            "FirstName",
            "MiddleName",
            "PayerAddress",
            "PersonalAccount",
            "DocIdx",
            "PensAcc",
            "Contract",
            "PersAcc",
            "Flat",
            "Phone",
            "PayerIdType",
            "PayerIdNum",
            "ChildFio",
            "BirthDate",
            "PaymTerm",
            "PaymPeriod",
            "Category",
            "ServiceName",
            "CounterId",
            "CounterVal",
            "QuittId",
            "QuittDate",
            "InstNum",
            "ClassNum",
            "SpecFio",
            "AddAmount",
            "RuleId",
            "ExecId",
            "RegType",
            "UIN",
            "TechCode",
        ]
    ),
}
KNOWN_FIELDS: Final = frozenset(_FIELDS)
FREE_TEXT_FIELDS: Final = frozenset(
    [
        "Name",
        "BankName",
        "Purpose",
        "LastName",
        "FirstName",
        "MiddleName",
        "PayerAddress",
        "ChildFio",
        "SpecFio",
        "ServiceName",
    ]
)

UNKNOWN_KEY_LENGTH_MAX: Final = 40
_YEARS: Final = range(2000, 2100)

_MISSPELLINGS: Final = {"taxpaykind": "TaxPaytKind"}
_CANONICAL: Final = {name.lower(): name for name in _FIELDS} | _MISSPELLINGS
_LOOK_ALIKES: Final = str.maketrans("АВЕКМНОРСТУХаеорсухІіЅѕЈј", "ABEKMHOPCTYXaeopcyxIiSsJj")

_KOPECKS: Final = re.compile(r"[0-9]{1,18}")
_ROUBLES: Final = re.compile(r"([0-9]{1,15})[.,]([0-9]{1,2})")
_MONTH_YEAR: Final = re.compile(r"(?:[0-9]{2}[./-])?([0-9]{1,2})[./-]([0-9]{4}|[0-9]{2})")
_YEAR_MONTH: Final = re.compile(r"([0-9]{4})[./-]([0-9]{1,2})(?:[./-][0-9]{1,2})?")
_SUBSCRIBER_ACCOUNT: Final = re.compile(r"[A-Za-z0-9._/-]{1,30}")


def canonical_key(key: str) -> str:
    """The standard's spelling of a key in any case, Cyrillic look-alikes folded.

    A key that the standard does not know stays as it is, trimmed.
    """
    trimmed = _one_line(key)
    return _CANONICAL.get(
        fold_look_alikes(trimmed).lower(), trimmed[:UNKNOWN_KEY_LENGTH_MAX].rstrip()
    )


def fold_look_alikes(text: str) -> str:
    """Cyrillic letters that print as Latin ones become those."""
    return text.translate(_LOOK_ALIKES)


def clean_value(text: str) -> str:
    """One line with single spaces and nothing unprintable; empty for `null`."""
    line = _one_line(text)
    return "" if line.lower() == "null" else line


def _one_line(text: str) -> str:
    if text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def is_too_long(name: str, value: str) -> bool:
    """Whether a value is longer than the standard allows for its field."""
    length_max = _FIELDS.get(name)
    return length_max is not None and len(value) > length_max


def kopecks_of(text: str) -> tuple[int | None, bool]:
    """Kopecks of a Sum, and whether it was given in roubles (a decimal mark tells)."""
    compact = text.replace(" ", "")
    if _KOPECKS.fullmatch(compact):
        return int(compact), False
    roubles = _ROUBLES.fullmatch(compact)
    if roubles is None:
        return None, False
    return int(roubles[1]) * 100 + int(roubles[2].ljust(2, "0")), True


def period_of(text: str) -> str | None:
    """`YYYY-MM` of a billing period in any of the forms that bills carry; None if untold.

    MMYY, MMYYYY, YYYYMM, MM.YYYY, MM.YY, YYYY-MM and whole dates. Years are 2000..2099, which
    leaves six digits no second reading; four digits are MMYY wherever that is a month.
    """
    compact = text.replace(" ", "")
    if compact.isascii() and compact.isdigit() and len(compact) in (4, 6):
        head, tail = compact[:2], compact[2:]
        return _period(tail, head) or _period(compact[:-2], compact[-2:])
    if match := _YEAR_MONTH.fullmatch(compact):
        return _period(match[1], match[2])
    if match := _MONTH_YEAR.fullmatch(compact):
        return _period(match[2], match[1])
    return None


def _period(year: str, month: str) -> str | None:
    full_year = int(year) if len(year) == 4 else 2000 + int(year)
    if full_year not in _YEARS or not 1 <= int(month) <= 12:
        return None
    return f"{full_year:04d}-{int(month):02d}"


def subscriber_account_of(text: str) -> str | None:
    """The account in the form that bills are kept under (1..30 of A-Z a-z 0-9 - . _ /)."""
    folded = fold_look_alikes(text).replace(" ", "")
    return folded if _SUBSCRIBER_ACCOUNT.fullmatch(folded) else None
