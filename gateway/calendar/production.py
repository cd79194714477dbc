"""The Russian production calendar: a year as it was published, else as the library knows it.

What was published stands in published.toml, with the decree. A centre's own file, in the same form,
goes before both: a decree may be younger than what is installed.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from gateway.config import StartRefused

_BYTES_MAX: Final = 65_536
_YEARS: Final = range(2000, 2101)
_MONTH_DAY: Final = re.compile(r"([0-9]{2})-([0-9]{2})", re.ASCII)
_SATURDAY: Final = 5


class PublishedYear(Struct, frozen=True):
    """Days of one year that are not as the week has them, and who says so."""

    source: str
    off: frozenset[date]
    working: frozenset[date]

    def is_working(self, day: date) -> bool | None:
        """Whether it is, where this names the day."""
        if day in self.working:
            return True
        return False if day in self.off else None


class ProductionCalendar:
    """Working days; `own` is a centre's file of days that go before what is known otherwise.

    StartRefused where that file cannot be read.
    """

    def __init__(self, own: Path | None = None) -> None:
        self._own = {} if own is None else _read_own(own)

    def is_working(self, day: date) -> bool:
        """Whether banks carry out orders on this day."""
        own = self._own.get(day.year)
        told = None if own is None else own.is_working(day)
        return _known(day) if told is None else told

    def told_by(self, year: int) -> str:
        """Who says how this year is: the decree, the centre's own file, or the library."""
        if year in self._own:
            return self._own[year].source
        if year in published():
            return published()[year].source
        return "holidays" if library_has(year) else ""


@lru_cache(1)
def published() -> Mapping[int, PublishedYear]:
    """The years of published.toml."""
    text = resources.files("gateway.calendar").joinpath("published.toml").read_text("utf-8")
    return _years(tomllib.loads(text))


def differences(year: int) -> list[date]:
    """Days of a published year on which the library says otherwise."""
    day, found = date(year, 1, 1), []
    while day.year == year:
        if _is_published(day) != _by_library(day):
            found.append(day)
        day += timedelta(days=1)
    return found


def library_has(year: int) -> bool:
    """Whether the library knows the days that were moved in this year, not its holidays alone."""
    return year in _library()().special_public_holidays


def _known(day: date) -> bool:
    return _is_published(day) if day.year in published() else _by_library(day)


def _is_published(day: date) -> bool:
    told = published()[day.year].is_working(day)
    return day.weekday() < _SATURDAY if told is None else told


def _by_library(day: date) -> bool:
    return _library_year(day.year)[day.timetuple().tm_yday - 1]


@lru_cache(16)
def _library_year(year: int) -> list[bool]:
    known = _library()(years=year)
    first = date(year, 1, 1)
    days = (date(year + 1, 1, 1) - first).days
    return [bool(known.is_working_day(first + timedelta(days=at))) for at in range(days)]


def _library() -> Any:
    # Imported when a year is asked for that nobody here has: it takes 70 ms and 17 MB.
    from holidays.countries.russia import Russia

    return Russia


def _read_own(path: Path) -> Mapping[int, PublishedYear]:
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES_MAX + 1)
        if len(content) > _BYTES_MAX:
            raise ValueError(f"Expected at most {_BYTES_MAX} bytes")
        return _years(tomllib.loads(content.decode()))
    except (OSError, ValueError) as failure:
        told = getattr(failure, "strerror", None) or str(failure)
        raise StartRefused(f"Expected a calendar of working days in {path}: {told}") from None


def _years(read: Mapping[str, Any]) -> dict[int, PublishedYear]:
    """The years of a file; ValueError for whatever is not one."""
    years = {}
    for name, told in read.items():
        if not (name.isascii() and name.isdigit() and int(name) in _YEARS):
            raise ValueError(f"Expected years {_YEARS[0]}..{_YEARS[-1]}, was {name}")
        if not isinstance(told, dict) or set(told) - {"source", "off", "working"}:
            raise ValueError(f"Expected source, off and working of {name}")
        source = told.get("source")
        if not isinstance(source, str) or not source.strip():
            raise ValueError(f"Expected source of {name}: the decree that says so")
        off, working = (_days(int(name), told.get(kind, [])) for kind in ("off", "working"))
        if both := sorted(off & working):
            raise ValueError(f"Expected days off or working, was both: {both[0]}")
        years[int(name)] = PublishedYear(source, off, working)
    return years


def _days(year: int, told: object) -> frozenset[date]:
    if not isinstance(told, list):
        raise ValueError(f"Expected a list of days of {year}")
    found = set()
    for text in told:
        match = _MONTH_DAY.fullmatch(text) if isinstance(text, str) else None
        try:
            if match is None:
                raise ValueError
            found.add(date(year, int(match[1]), int(match[2])))
        except ValueError:
            raise ValueError(f"Expected days of {year} such as 01-09, was {text!r}") from None
    return frozenset(found)
