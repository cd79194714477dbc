"""Business days: which day a moment counts to, and when its money is to go out.

A day ends at the cut-off in its own time zone, and what was taken on it goes out on the next
working day. Pure: the calendar of working days is handed in.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.domain.refusals import InvariantBroken

_DAY: Final = timedelta(days=1)
_DAY_MINUTES: Final = 1_440
# The longest stretch without a working day has been twelve; more than this is a wrong calendar.
_SEARCH_DAYS: Final = 60
OTHERS: Final = 0


class CutOff(Struct, frozen=True):
    """When a business day ends: minutes after local midnight (1..1440), and the zone's name."""

    minutes: int
    zone: str


class WorkingDays(Protocol):
    """Tells working days from others."""

    def is_working(self, day: date) -> bool:
        """Whether banks carry out orders on this day."""
        ...


class Due(Struct, frozen=True):
    """A cut-off that closes a batch: the business day that it ends, and its moment in UTC."""

    day: date
    moment: datetime


class OwnDays(Struct, frozen=True):
    """A recipient's business days in a batch that is being counted, by the cut-off that it has.

    `recipient` is its number, OTHERS for all who have none of their own. `due` is its last cut-off
    up to that of the batch, `following` the next one.
    """

    recipient: int
    agreement: UUID | None
    first: date
    last: date
    due: datetime
    following: datetime


class PositionDays(Struct, frozen=True):
    """Whom a batch pays: all, or those whose own cut-off came since they were settled.

    `moment` is that of the batch; `settled_to` that of the batch before, None where nothing came.
    """

    moment: datetime
    settled_to: datetime | None
    pays_all: bool
    own: Sequence[OwnDays]


def cut_moment(day: date, cut_off: CutOff) -> datetime:
    """The moment in UTC at which the business day is over.

    Where a clock that is set back shows the cut-off twice, the first time counts; where one set
    forward leaves it out, the moment by the clock as it was. So it never falls from day to day.
    """
    days, minutes = divmod(cut_off.minutes, _DAY_MINUTES)
    hour, minute = divmod(minutes, 60)
    local = datetime.combine(day + days * _DAY, time(hour, minute), ZoneInfo(cut_off.zone))
    return local.astimezone(UTC)


def business_day(moment: datetime, cut_off: CutOff) -> date:
    """The first day that is not over at this moment: each moment has one, and later ones no lower.

    The moment of the cut-off itself belongs to the next day.
    """
    day = moment.astimezone(ZoneInfo(cut_off.zone)).date() - _DAY
    while cut_moment(day, cut_off) <= moment:
        day += _DAY
    return day


def working_day(day: date, calendar: WorkingDays) -> date:
    """This day where it is a working day, else the next that is."""
    for offset in range(_SEARCH_DAYS):
        found = day + offset * _DAY
        if calendar.is_working(found):
            return found
    raise InvariantBroken(f"Expected a working day within {_SEARCH_DAYS} days of {day}")


def settlement_date(day: date, calendar: WorkingDays) -> date:
    """The day on which the money of a business day is to go out: the next working day."""
    return working_day(day + _DAY, calendar)


def last_due(now: datetime, cut_off: CutOff, calendar: WorkingDays) -> Due:
    """The last cut-off, now or before, that has a working day after it.

    All business days since the one before it go out on that same working day, so they are closed
    together: a Friday with its weekend, the thirtieth of December with the holidays.
    """
    day = business_day(now, cut_off) - _DAY
    for offset in range(_SEARCH_DAYS):
        found = day - offset * _DAY
        if calendar.is_working(found + _DAY):
            return Due(found, cut_moment(found, cut_off))
    raise InvariantBroken(f"Expected a working day within {_SEARCH_DAYS} days before {day}")


def next_due(now: datetime, cut_off: CutOff, calendar: WorkingDays) -> Due:
    """The first cut-off after now that has a working day after it."""
    day = business_day(now, cut_off)
    for offset in range(_SEARCH_DAYS):
        found = day + offset * _DAY
        if calendar.is_working(found + _DAY):
            return Due(found, cut_moment(found, cut_off))
    raise InvariantBroken(f"Expected a working day within {_SEARCH_DAYS} days after {day}")


def cut_off_at(hours: int, minutes: int, zone: str) -> CutOff:
    """The cut-off at a time of the clock; 0:00 and 24:00 are the midnight that ends the day."""
    return CutOff(60 * hours + minutes or _DAY_MINUTES, zone)


def days_between(first: date, last: date) -> Iterator[date]:
    """Every day from the first to the last, both included."""
    while first <= last:
        yield first
        first += _DAY
