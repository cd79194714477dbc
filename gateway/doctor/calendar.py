"""Are the working days of this year and the next the published ones, and the zone the newest?"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from gateway.calendar import ProductionCalendar
from gateway.calendar.production import differences, published
from gateway.config import Settings
from gateway.doctor.finding import Finding, look, well

_TOLD_MAX: Final = 5
# A year's decree is published in September or October of the year before.
_DECREED_BY_MONTH: Final = 11


def examine(settings: Settings, now: datetime) -> Iterator[Finding]:
    """The calendar of working days and the time zone."""
    calendar = ProductionCalendar(settings.working_calendar)
    local = now.astimezone(ZoneInfo(settings.timezone))
    years = [local.year, local.year + 1]
    found = [day for year in published() for day in differences(year)]
    if found:
        told = ", ".join(day.isoformat() for day in sorted(found)[:_TOLD_MAX])
        advice = "Nothing to mend here: the published year counts; tell the authors of holidays"
        yield look("calendar", f"the library is not as published: {told}", advice)
    lacking = [year for year in years if not calendar.told_by(year)]
    if lacking and (lacking[0] == local.year or local.month >= _DECREED_BY_MONTH):
        told = f"nobody here knows which days are moved in {lacking[0]}"
        advice = "Install the newest kopeck, or write its decree: docs/business-days.md"
        yield look("calendar", told, advice)
    elif not found:
        named = ", ".join(f"{y}: {calendar.told_by(y) or 'not decreed yet'}" for y in years)
        yield well("calendar", named)
    yield _zone(settings.timezone, local.date())


def _zone(name: str, today: date) -> Finding:
    """Whether the system's rules of the zone are those of the package that is pinned."""
    *folders, last = name.split("/")
    place = resources.files(".".join(("tzdata", "zoneinfo", *folders)))
    try:
        with place.joinpath(last).open("rb") as file:
            pinned = ZoneInfo.from_file(file)
    except OSError:
        advice = "Name the zone by a name that the Python package tzdata knows"
        return look("time zone", f"tzdata has no {name}", advice)
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    for offset in range(366):
        moment = noon + timedelta(days=offset)
        if moment.astimezone(pinned).utcoffset() != moment.astimezone(ZoneInfo(name)).utcoffset():
            advice = "Update the system's tzdata and the Python package of that name, then restart"
            return look("time zone", f"{name} is told in two ways from {moment:%Y-%m-%d}", advice)
    return well("time zone", f"{name}, the same by the system and by tzdata")
