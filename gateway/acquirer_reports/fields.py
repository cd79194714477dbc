"""Single fields of a file: sums, dates and times as banks write them.

Pure. Every reader raises Misfit, whose message names what was expected and never what was there.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, TypeVar

YEAR_MIN: Final = 2000
YEAR_MAX: Final = 2099
# Kopecks of the greatest payment have 14 digits; longer texts are not worth turning into numbers.
_DIGITS_MAX: Final = 16
# Days and seconds of a day that are kept once they were read.
_KEPT_MAX: Final = 100_000

_DAY_FIRST: Final = re.compile(r"(?P<d>\d{1,2})[-./](?P<m>\d{1,2})[-./](?P<y>\d{4})", re.ASCII)
_YEAR_FIRST: Final = re.compile(r"(?P<y>\d{4})[-./](?P<m>\d{1,2})[-./](?P<d>\d{1,2})", re.ASCII)
_TOGETHER: Final = re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)", re.ASCII)
_USUAL: Final = (_DAY_FIRST, _YEAR_FIRST, _TOGETHER)
_TIME: Final = re.compile(r"(\d{1,2})[-:.](\d\d)(?:[-:.](\d\d))?", re.ASCII)
_TIME_TOGETHER: Final = re.compile(r"(\d\d)(\d\d)(\d\d)", re.ASCII)
# A moment in one column: 01.01.2024_12:31:00, 2026-11-12T09:31:07, 20050815120133.
_MOMENT: Final = re.compile(r"(.{8,10}?)(?:[ T_]+(\d.*)|(?<=\d{8})(\d{6}))?", re.ASCII)
_TOKENS: Final = {
    "DD": r"(?P<d>\d\d)",
    "MM": r"(?P<m>\d\d)",
    "YYYY": r"(?P<y>\d{4})",
    "YY": r"(?P<y>\d\d)",
}

Read = TypeVar("Read")


class Misfit(ValueError):
    """A field, a line or a file that is not of the layout."""


class FormatMisfit(ValueError):
    """A date format that names no date."""


def roubles(text: str) -> int:
    """Kopecks of `1234,56`, `1234.5` or `1234`; nothing parts thousands."""
    whole, mark, rest = text.partition(",")
    if not mark:
        whole, mark, rest = text.partition(".")
    if not mark:
        rest = "00"
    elif len(rest) == 1:
        rest += "0"
    digits = whole + rest
    if not (len(rest) == 2 and whole and digits.isascii() and digits.isdigit()):
        raise Misfit("a sum in roubles with two digits of kopecks")
    if len(digits) > _DIGITS_MAX:
        raise Misfit(f"a sum of at most {_DIGITS_MAX} digits")
    return int(digits)


def kopecks(text: str) -> int:
    """Kopecks of a text that is nothing but digits."""
    return whole_number(text, "a sum in whole kopecks")


def whole_number(text: str, expected: str) -> int:
    """The number of a text that is nothing but digits, not too many of them."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise Misfit(expected)
    return int(text)


def pattern_of(date_format: str) -> re.Pattern[str]:
    """What dates of DD, MM and YYYY or YY look like; raises FormatMisfit."""
    parts = re.split("(DD|MM|YYYY|YY)", date_format)
    tokens, between = parts[1::2], parts[0::2]
    groups = [_TOKENS[token] for token in tokens]
    if len(groups) != 3 or len(set(groups) - {_TOKENS["YY"], _TOKENS["YYYY"]}) != 2:
        raise FormatMisfit("Expected date_format of DD, MM and YYYY or YY")
    if any(sign.isalnum() for sign in "".join(between)):
        raise FormatMisfit("Expected nothing but signs between DD, MM and YYYY or YY")
    pattern = re.escape(between[0])
    for group, sign in zip(groups, between[1:], strict=True):
        pattern += group + re.escape(sign)
    return re.compile(pattern, re.ASCII)


class Days:
    """Reads dates and times of one time zone; those it has read are read at once."""

    def __init__(self, zone: tzinfo, date_format: str | None = None) -> None:
        self._zone = zone
        self._patterns = _USUAL if date_format is None else (pattern_of(date_format),)
        self._days: dict[str, tuple[date, int, bool]] = {}
        self._times: dict[str, int] = {}

    def day(self, text: str) -> date:
        """The date that a text is."""
        return self._known(text)[0]

    def at(self, text: str, time: str | None) -> tuple[int, date]:
        """Unix seconds of a local date and time, or of when the day begins, and the date."""
        day, start, even = self._known(text)
        if time is None:
            return start, day
        seconds = self._times.get(time)
        if seconds is None:
            seconds = _kept(self._times, time, _read_time)
        if even:
            return start + seconds, day
        # The clocks were changed on this day: not every second of it came once.
        local = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return int((local + timedelta(seconds=seconds)).timestamp()), day

    def moment(self, text: str) -> tuple[int, date]:
        """Unix seconds and the date of a text that may hold a time behind its date."""
        parts = _MOMENT.fullmatch(text)
        if parts is None:
            raise Misfit("a date")
        return self.at(parts[1], parts[2] or parts[3])

    def _known(self, text: str) -> tuple[date, int, bool]:
        return self._days.get(text) or _kept(self._days, text, self._read)

    def _read(self, text: str) -> tuple[date, int, bool]:
        """A date, when it begins, and whether it has as many hours as most."""
        day = self._read_day(text)
        first, last = bounds(day, day, self._zone)
        return day, int(first.timestamp()), last - first == timedelta(days=1)

    def _read_day(self, text: str) -> date:
        for pattern in self._patterns:
            found = pattern.fullmatch(text)
            if found is None:
                continue
            year = int(found["y"])
            try:
                day = date(year if year >= 100 else year + 2000, int(found["m"]), int(found["d"]))
            except ValueError:
                break
            if not YEAR_MIN <= day.year <= YEAR_MAX:
                raise Misfit(f"a date in the years {YEAR_MIN}..{YEAR_MAX}")
            return day
        raise Misfit("a date")


def first_moment(day: date, zone: tzinfo) -> datetime:
    """When a local day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def bounds(first: date, last: date, zone: tzinfo) -> tuple[datetime, datetime]:
    """When local days begin, and when they have ended, in UTC."""
    return first_moment(first, zone), first_moment(last + timedelta(days=1), zone)


def _read_time(text: str) -> int:
    found = _TIME.fullmatch(text) or _TIME_TOGETHER.fullmatch(text)
    if found is None:
        raise Misfit("a time")
    # Nearly every row has a time that no row before had.
    hours_told, minutes_told, seconds_told = found.groups()
    hours, minutes, seconds = int(hours_told), int(minutes_told), int(seconds_told or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise Misfit("a time")
    return hours * 3600 + minutes * 60 + seconds


def _kept(kept: dict[str, Read], text: str, read: Callable[[str], Read]) -> Read:
    value = read(text)
    # A file of nothing but different dates must not fill the memory.
    if len(kept) < _KEPT_MAX:
        kept[text] = value
    return value
