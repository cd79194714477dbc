"""Parameters of a biller protocol: out of a query or a form, and their values, strictly (pure).

Nothing here raises for what was sent: a value that cannot be read is None.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from urllib.parse import unquote_to_bytes

FORM_BYTES_MAX: Final = 4_096
_PARAMETERS_MAX: Final = 64
# Both protocols tell Moscow's time, which has been this since 2014.
MOSCOW: Final = timezone(timedelta(hours=3))
_YEARS: Final = range(2000, 2100)

_NUMBER: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_AMOUNT: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?", re.ASCII)
_OSMP_DATE: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", re.ASCII)
_SBER_DATE: Final = re.compile(r"(\d\d)\.(\d\d)\.(\d{4})_(\d\d):(\d\d):(\d\d)", re.ASCII)


def parameters(content: bytes) -> dict[str, str] | None:
    """Names in lower case, and values; None for a form that is too long, or names one twice.

    What is no UTF-8 is kept as signs that no value may have: only an unknown parameter, which
    nobody looks at, can hold it and be harmless.
    """
    if len(content) > FORM_BYTES_MAX or content.count(b"&") >= _PARAMETERS_MAX:
        return None
    found: dict[str, str] = {}
    for pair in content.split(b"&"):
        if not pair:
            continue
        name, _, value = pair.partition(b"=")
        key = _decoded(name).lower()
        if key in found:
            return None
        found[key] = _decoded(value)
    return found


def _decoded(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", "surrogateescape")


def number(told: Mapping[str, str], name: str) -> str | None:
    """An operation's number of 1..20 digits, kept as it is written."""
    text = told.get(name, "")
    return text if _NUMBER.fullmatch(text) else None


def kopecks(text: str) -> int | None:
    """`200.00`, `200.5` or `200` in roubles as kopecks, exactly."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def roubles(amount: int) -> str:
    """Kopecks from 0 as `200.00`."""
    return f"{amount // 100}.{amount % 100:02}"


def osmp_moment(text: str) -> datetime | None:
    """`YYYYMMDDHHMMSS` of Moscow, in UTC."""
    match = _OSMP_DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    return _moment(year, month, day, hour, minute, second)


def sber_moment(text: str) -> datetime | None:
    """`DD.MM.YYYY_HH24:MI:SS` of Moscow, in UTC."""
    match = _SBER_DATE.fullmatch(text)
    if match is None:
        return None
    day, month, year, hour, minute, second = map(int, match.groups())
    return _moment(year, month, day, hour, minute, second)


def sber_time(moment: datetime) -> str:
    """A moment as Sber writes it."""
    return moment.astimezone(MOSCOW).strftime("%d.%m.%Y_%H:%M:%S")


def _moment(year: int, *more: int) -> datetime | None:
    if year not in _YEARS:
        return None
    month, day, hour, minute, second = more
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=MOSCOW).astimezone(UTC)
    except ValueError:
        return None
