"""Business days: one cut-off, one zone, one calendar of working days.

A centre has its own by its settings; an agreement may have others for its recipient.
"""

from datetime import date, datetime, timedelta
from typing import Final

from msgspec import Struct

from gateway.calendar.production import ProductionCalendar
from gateway.config import Settings
from gateway.domain.business_days import (
    CutOff,
    Due,
    WorkingDays,
    business_day,
    cut_moment,
    cut_off_at,
    days_between,
    last_due,
    next_due,
    settlement_date,
    working_day,
)

# A batch has been open for less; whatever is older in one counts to the first of these days.
DAYS_MAX: Final = 400


class BatchDays(Struct, frozen=True):
    """The business days of a batch, first to last, and the working day that they go out on.

    `due_at` is the cut-off that the batch was closed for, None where a person closed it.
    """

    first: date
    last: date
    settlement_date: date
    due_at: datetime | None


class BusinessDays(Struct, frozen=True):
    """Which day a moment counts to, and when the money of a day goes out."""

    cut_off: CutOff
    calendar: WorkingDays

    def learn(self, now: datetime) -> None:
        """Know this year and the next, before anybody has to wait for the library."""
        for year in (now.year, now.year + 1):
            self.calendar.is_working(date(year, 1, 1))

    def day(self, moment: datetime) -> date:
        """The business day of a moment."""
        return business_day(moment, self.cut_off)

    def goes_out(self, day: date) -> date:
        """The working day on which the money of a business day is to go out."""
        return settlement_date(day, self.calendar)

    def order_date(self, moment: datetime) -> date:
        """The date of orders made at a moment: what comes after the cut-off is the next day's."""
        return working_day(self.day(moment), self.calendar)

    def late_from(self, moment: datetime) -> datetime:
        """From when money taken at a moment is late, if nobody has approved its batch by then."""
        return self.late_after(self.day(moment))

    def late_after(self, day: date) -> datetime:
        """From when money of a business day is late: the end of the day that it goes out on."""
        return cut_moment(self.goes_out(day), self.cut_off)

    def last_due(self, now: datetime) -> Due:
        """The last cut-off up to now that closes a batch."""
        return last_due(now, self.cut_off, self.calendar)

    def next_due(self, now: datetime) -> Due:
        """The first cut-off after now that closes a batch."""
        return next_due(now, self.cut_off, self.calendar)

    def by(self, cut_off: CutOff) -> "BusinessDays":
        """The days of a recipient whose agreement has a cut-off of its own."""
        return BusinessDays(cut_off, self.calendar)

    def of_batch(self, begun: date, last: date, due_at: datetime | None) -> BatchDays:
        """The days of a batch whose last day is told, and which began on or after `begun`."""
        first = max(min(begun, last), last - timedelta(days=DAYS_MAX - 1))
        return BatchDays(first, last, self.goes_out(last), due_at)

    def ends(self, first: date, last: date) -> list[tuple[date, datetime]]:
        """Each business day from the first to the last, and the moment at which it is over."""
        return [(day, cut_moment(day, self.cut_off)) for day in days_between(first, last)]


def days_of(settings: Settings) -> BusinessDays:
    """The business days that the settings tell; StartRefused where their calendar cannot be."""
    hours, minutes = map(int, settings.cut_off.split(":"))
    cut_off = cut_off_at(hours, minutes, settings.timezone)
    return BusinessDays(cut_off, ProductionCalendar(settings.working_calendar))
