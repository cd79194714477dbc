"""Working days are those that were published; a centre's own file goes before them."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.calendar import ProductionCalendar, production
from gateway.config import Settings, StartRefused
from gateway.doctor import calendar as doctor

# The whole stretches without work of 2026, as the Government told them in September 2025.
OFF_2026 = (
    *(("01-01", "01-11"), ("02-21", "02-23"), ("03-07", "03-09"), ("05-01", "05-03")),
    *(("05-09", "05-11"), ("06-12", "06-14"), ("11-04", "11-04"), ("12-31", "12-31")),
)
WORKING_DAYS = {2025: 247, 2026: 247}


def year_of(year: int) -> list[date]:
    first = date(year, 1, 1)
    return [first + timedelta(days=at) for at in range((date(year + 1, 1, 1) - first).days)]


def between(year: int, first: str, last: str) -> list[date]:
    return [day for day in year_of(year) if first <= day.isoformat()[5:] <= last]


@pytest.mark.parametrize("year", [2025, 2026])
def test_the_library_agrees_with_the_published_year(year: int) -> None:
    assert production.differences(year) == []
    calendar = ProductionCalendar()
    assert sum(map(calendar.is_working, year_of(year))) == WORKING_DAYS[year]
    assert calendar.told_by(year).startswith("Постановление Правительства РФ от ")


def test_2026_is_as_the_government_told_it() -> None:
    off = {day for span in OFF_2026 for day in between(2026, *span)}
    weekends = {day for day in year_of(2026) if day.weekday() >= 5}
    working = ProductionCalendar().is_working
    assert {day for day in year_of(2026) if not working(day)} == off | weekends


def test_a_saturday_made_a_working_day_and_the_monday_given_for_it() -> None:
    working = ProductionCalendar().is_working
    assert working(date(2025, 11, 1))
    assert not working(date(2025, 11, 3))
    # By the library: no decree of that year stands here.
    assert working(date(2027, 2, 20))
    assert not working(date(2027, 2, 22))


def test_a_decree_that_the_library_lacks(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[2029]\nsource = "№ 1"\noff = ["12-31", "04-30"]\nworking = ["04-28"]\n')
    plain, calendar = ProductionCalendar(), ProductionCalendar(own)
    assert [plain.is_working(date(2029, 4, at)) for at in (27, 28, 30)] == [True, False, True]
    assert [calendar.is_working(date(2029, 4, at)) for at in (27, 28, 30)] == [True, True, False]
    # What it does not name is as it was.
    assert not calendar.is_working(date(2029, 1, 8))
    assert (plain.told_by(2029), calendar.told_by(2029)) == ("", "№ 1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[2029]\noff = []", "source"),
        ('[2029]\nsource = " "', "source"),
        ('[2029]\nsource = "x"\noff = ["02-29"]', "02-29"),
        ('[2029]\nsource = "x"\noff = ["1-1"]', "1-1"),
        ('[2029]\nsource = "x"\noff = [2029-01-09]', "2029"),
        ('[2029]\nsource = "x"\noff = "01-09"', "list"),
        ('[2029]\nsource = "x"\noff = ["01-09"]\nworking = ["01-09"]', "both"),
        ('[2029]\nsource = "x"\nof = ["01-09"]', "off and working"),
        ('[1029]\nsource = "x"', "2000..2100"),
        ("2029 = 1", "2029"),
        ("[2029", ""),
    ],
)
def test_a_file_that_cannot_be_read_refuses_the_start(tmp_path: Path, text: str, told: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(StartRefused, match="Expected a calendar of working days in") as refused:
        ProductionCalendar(own)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="No such file"):
        ProductionCalendar(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(StartRefused):
        ProductionCalendar(tmp_path / "bytes.toml")


def told_by_the_doctor(settings: Settings, now: datetime) -> dict[str, tuple[str, str]]:
    return {one.what: (one.state, one.found) for one in doctor.examine(settings, now)}


def test_the_doctor_compares_the_library_with_what_was_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert told_by_the_doctor(Settings(), now)["calendar"][0] == "well"
    assert told_by_the_doctor(Settings(), now)["time zone"][0] == "well"
    wrong = production.PublishedYear("a decree", frozenset({date(2026, 7, 7)}), frozenset())
    years = {**production.published(), 2026: wrong}
    monkeypatch.setattr(production, "published", lambda: years)
    monkeypatch.setattr(doctor, "published", lambda: years)
    state, found = told_by_the_doctor(Settings(), now)["calendar"]
    assert state == "look"
    assert "2026-01-01" in found


def test_the_doctor_asks_for_the_next_year_once_it_is_decreed(tmp_path: Path) -> None:
    summer, november = datetime(2027, 7, 1, tzinfo=UTC), datetime(2027, 11, 1, tzinfo=UTC)
    assert told_by_the_doctor(Settings(), summer)["calendar"][0] == "well"
    state, found = told_by_the_doctor(Settings(), november)["calendar"]
    assert (state, "2028" in found) == ("look", True)
    own = tmp_path / "own.toml"
    own.write_text('[2028]\nsource = "№ 2"\noff = ["12-29"]\n')
    told = told_by_the_doctor(Settings(working_calendar=own), november)
    assert told["calendar"][0] == "well"
