"""Which day a moment counts to and when its money goes out, as a settlement office has it."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calendar import BusinessDays, ProductionCalendar
from gateway.domain.business_days import (
    CutOff,
    business_day,
    cut_moment,
    last_due,
    settlement_date,
    working_day,
)
from gateway.domain.refusals import InvariantBroken

BARNAUL = "Asia/Barnaul"
AT_EIGHT, MIDNIGHT = CutOff(20 * 60, BARNAUL), CutOff(24 * 60, BARNAUL)
CALENDAR = ProductionCalendar()
# Every zone of Russia, those whose clocks were set back and forward by law, and one that once left
# a whole day out.
ZONES = (
    *("Europe/Kaliningrad", "Europe/Moscow", "Europe/Samara", "Europe/Volgograd"),
    *("Europe/Saratov", "Asia/Yekaterinburg", "Asia/Omsk", "Asia/Barnaul", "Asia/Novosibirsk"),
    *("Asia/Krasnoyarsk", "Asia/Irkutsk", "Asia/Chita", "Asia/Yakutsk", "Asia/Vladivostok"),
    *("Asia/Magadan", "Asia/Sakhalin", "Asia/Kamchatka", "Asia/Anadyr", "Pacific/Apia"),
)
SECONDS = st.floats(725_846_400, 4_102_444_799)
MOMENTS = SECONDS.map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
CUT_OFFS = st.builds(CutOff, st.integers(1, 1_440), st.sampled_from(ZONES))


def day(text: str) -> date:
    return date.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "local", "until_eight", "until_midnight"),
    [
        # Before, at and after a cut-off of 20:00; the last and the first millisecond of a day.
        (BARNAUL, "2026-11-24 19:59:59.999", "2026-11-24", "2026-11-24"),
        (BARNAUL, "2026-11-24 20:00:00.000", "2026-11-25", "2026-11-24"),
        (BARNAUL, "2026-11-24 23:59:59.999", "2026-11-25", "2026-11-24"),
        (BARNAUL, "2026-11-25 00:00:00.000", "2026-11-25", "2026-11-25"),
        # The westernmost clock of Russia and the easternmost.
        ("Europe/Kaliningrad", "2026-12-31 23:59:59.999", "2027-01-01", "2026-12-31"),
        ("Europe/Kaliningrad", "2027-01-01 00:00:00.000", "2027-01-01", "2027-01-01"),
        ("Asia/Kamchatka", "2026-12-31 23:59:59.999", "2027-01-01", "2026-12-31"),
        ("Asia/Kamchatka", "2027-01-01 00:00:00.000", "2027-01-01", "2027-01-01"),
        # A leap day, and the evening before it.
        (BARNAUL, "2028-02-28 20:00:00.000", "2028-02-29", "2028-02-28"),
        (BARNAUL, "2028-02-29 19:59:59.999", "2028-02-29", "2028-02-29"),
        (BARNAUL, "2028-02-29 23:59:59.999", "2028-03-01", "2028-02-29"),
        # A year without one.
        (BARNAUL, "2027-02-28 20:00:00.000", "2027-03-01", "2027-02-28"),
    ],
)
def test_the_day_of_a_payment(zone: str, local: str, until_eight: str, until_midnight: str) -> None:
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone))
    assert business_day(moment, CutOff(20 * 60, zone)) == day(until_eight)
    assert business_day(moment, CutOff(24 * 60, zone)) == day(until_midnight)


def test_one_moment_is_two_days_in_two_zones() -> None:
    moment = datetime(2026, 11, 24, 16, 30, tzinfo=UTC)
    assert business_day(moment, CutOff(20 * 60, "Europe/Moscow")) == day("2026-11-24")
    assert business_day(moment, AT_EIGHT) == day("2026-11-25")


@pytest.mark.parametrize(
    ("business", "goes_out"),
    [
        # An ordinary week.
        ("2026-11-24", "2026-11-25"),
        ("2026-11-27", "2026-11-30"),
        ("2026-11-28", "2026-11-30"),
        ("2026-11-29", "2026-11-30"),
        # New Year: from 31 December 2025 to 11 January 2026 nobody works.
        ("2025-12-29", "2025-12-30"),
        ("2025-12-30", "2026-01-12"),
        ("2025-12-31", "2026-01-12"),
        ("2026-01-08", "2026-01-12"),
        ("2026-01-11", "2026-01-12"),
        ("2026-01-12", "2026-01-13"),
        # And the year after: 30 December is the last working day, 11 January the first.
        ("2026-12-30", "2027-01-11"),
        ("2027-01-10", "2027-01-11"),
        # A Saturday that was made a working day, and the Monday that was given for it.
        ("2025-10-31", "2025-11-01"),
        ("2025-11-01", "2025-11-05"),
        ("2025-11-03", "2025-11-05"),
        ("2027-02-19", "2027-02-20"),
        ("2027-02-20", "2027-02-24"),
        # May 2026: two stretches of three days.
        ("2026-04-30", "2026-05-04"),
        ("2026-05-08", "2026-05-12"),
        # A holiday in the middle of a week.
        ("2026-11-03", "2026-11-05"),
        # A leap day is a Tuesday like any other.
        ("2028-02-28", "2028-02-29"),
        ("2028-02-29", "2028-03-01"),
    ],
)
def test_the_money_of_a_day_goes_out_on_the_next_working_day(business: str, goes_out: str) -> None:
    assert settlement_date(day(business), CALENDAR) == day(goes_out)


@pytest.mark.parametrize(
    ("approved", "dated"),
    [
        ("2026-11-24 19:59:59.999", "2026-11-24"),
        ("2026-11-24 20:00", "2026-11-25"),
        ("2026-11-27 20:00", "2026-11-30"),
        ("2026-01-05 12:00", "2026-01-12"),
        ("2025-11-01 12:00", "2025-11-01"),
        ("2026-12-30 20:00", "2027-01-11"),
    ],
)
def test_orders_are_dated_a_working_day(approved: str, dated: str) -> None:
    moment = datetime.fromisoformat(approved).replace(tzinfo=ZoneInfo(BARNAUL))
    assert BusinessDays(AT_EIGHT, CALENDAR).order_date(moment) == day(dated)


@pytest.mark.parametrize(
    ("now", "closes"),
    [
        # On working days each evening closes its day.
        ("2026-11-24 19:59:59.999", "2026-11-23"),
        ("2026-11-24 20:00", "2026-11-24"),
        # Friday and Saturday are left open for Sunday's: their money goes out on Monday anyhow.
        ("2026-11-27 20:00", "2026-11-26"),
        ("2026-11-29 19:59:59.999", "2026-11-26"),
        ("2026-11-29 20:00", "2026-11-29"),
        # The January backlog is one batch, closed on the eve of the first working day.
        ("2025-12-30 20:00", "2025-12-29"),
        ("2026-01-11 19:59:59.999", "2025-12-29"),
        ("2026-01-11 20:00", "2026-01-11"),
        ("2026-01-12 20:00", "2026-01-12"),
        # A working Saturday is paid on by itself.
        ("2025-10-31 20:00", "2025-10-31"),
        ("2025-11-01 20:00", "2025-10-31"),
        ("2025-11-04 20:00", "2025-11-04"),
    ],
)
def test_the_last_cut_off_that_closes_a_batch(now: str, closes: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo(BARNAUL))
    due = last_due(moment, AT_EIGHT, CALENDAR)
    assert (due.day, due.moment) == (day(closes), cut_moment(day(closes), AT_EIGHT))


def test_money_is_late_only_after_the_working_day_it_was_to_go_out_on() -> None:
    days = BusinessDays(MIDNIGHT, CALENDAR)
    new_year = datetime(2025, 12, 31, 12, tzinfo=ZoneInfo(BARNAUL))
    assert days.late_from(new_year) == datetime(2026, 1, 13, tzinfo=ZoneInfo(BARNAUL))
    friday = datetime(2026, 11, 27, 12, tzinfo=ZoneInfo(BARNAUL))
    assert days.late_from(friday) == datetime(2026, 12, 1, tzinfo=ZoneInfo(BARNAUL))


def test_a_clock_set_back_across_the_cut_off_ends_the_day_once() -> None:
    """Moscow, 26 October 2014: after 01:59:59 came 01:00:00 again."""
    cut_off = CutOff(90, "Europe/Moscow")
    first = datetime(2014, 10, 25, 21, 30, tzinfo=UTC)
    minutes = [first + timedelta(minutes=by) for by in (-1, 0, 29, 30, 45, 60, 75)]
    local = [m.astimezone(ZoneInfo("Europe/Moscow")).strftime("%H:%M") for m in minutes]
    assert local == ["01:29", "01:30", "01:59", "01:00", "01:15", "01:30", "01:45"]
    days = [business_day(moment, cut_off).day for moment in minutes]
    assert days == [26, 27, 27, 27, 27, 27, 27]


@given(MOMENTS, CUT_OFFS)
def test_each_moment_is_in_exactly_one_day(moment: datetime, cut_off: CutOff) -> None:
    found = business_day(moment, cut_off)
    assert cut_moment(found - timedelta(days=1), cut_off) <= moment < cut_moment(found, cut_off)


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)), CUT_OFFS)
def test_later_moments_are_never_in_earlier_days(
    moment: datetime, later: timedelta, cut_off: CutOff
) -> None:
    assert business_day(moment, cut_off) <= business_day(moment + later, cut_off)


@given(st.dates(date(2000, 1, 1), date(2090, 12, 31)))
def test_days_that_go_out_together_are_closed_together(first: date) -> None:
    """Each day's money is in the batch of the last cut-off before its settlement date."""
    goes_out = settlement_date(first, CALENDAR)
    assert CALENDAR.is_working(goes_out)
    assert first < goes_out
    eve = cut_moment(goes_out - timedelta(days=1), AT_EIGHT)
    due = last_due(eve, AT_EIGHT, CALENDAR)
    assert settlement_date(due.day, CALENDAR) == goes_out
    before = last_due(eve - timedelta(milliseconds=1), AT_EIGHT, CALENDAR)
    assert before.day < first


def test_a_calendar_without_working_days_is_told() -> None:
    class Never:
        def is_working(self, day: date) -> bool:
            return False

    with pytest.raises(InvariantBroken):
        working_day(day("2026-01-01"), Never())
    with pytest.raises(InvariantBroken):
        last_due(datetime(2026, 1, 1, tzinfo=UTC), AT_EIGHT, Never())
