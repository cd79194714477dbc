"""A comparison tells what differs beyond noise, and what makes it hard to compare."""

from pathlib import Path
from typing import Any

import pytest

from loadtests import compare
from loadtests.compare import Change, changes, told
from loadtests.report import Figure, Goal, Result, Row

MACHINE = {"processor": "A", "cores": 2, "taken_at": "today", "fdatasync_us": 100}


def row(values: list[float], against: list[float] | None = None, **changes: Any) -> Row:
    members: dict[str, Any] = {
        "name": "http_single",
        "what": "payments",
        "measured": Figure("payments/s", values),
        "against": None if against is None else Figure("/s", against),
    }
    return Row(**(members | changes))


def result(*rows: Row, **changes: Any) -> Result:
    members: dict[str, Any] = {"machine": MACHINE, "settings": {"workers": 2}, "seconds": 1.0}
    return Result(**(members | {"rows": list(rows)} | changes))


FIVE = [100.0, 110.0, 105.0, 98.0, 102.0]


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (FIVE, [value * 1.2 for value in FIVE], "better (1 in 126)"),
        (FIVE, [value / 1.2 for value in FIVE], "worse (1 in 126)"),
        # As far apart by their medians, but one slow run of the later lies among the earlier.
        (FIVE, [120.0, 125.0, 122.0, 109.0, 130.0], ""),
        (FIVE, FIVE, ""),
        ([100.0] * 3, [120.0] * 3, "better (1 in 10)"),
        ([100.0], [200.0], "one run"),
    ],
)
def test_a_difference_is_one_that_no_run_contradicts(
    before: list[float], after: list[float], verdict: str
) -> None:
    assert Change(row(before), row(after)).verdict == verdict


def test_what_counts_is_the_ratio_to_the_other_side() -> None:
    slow_hour = Change(row(FIVE, [200.0] * 5), row([v / 2 for v in FIVE], [100.0] * 5))
    assert slow_hour.ratio == 1.0
    assert slow_hour.verdict == ""
    change = Change(row([100.0, 110.0], [100.0, 100.0]), row([220.0, 200.0], [100.0, 100.0]))
    assert (change.least, change.ratio, change.most) == pytest.approx((2 / 1.1, 2.0, 2.2))


def test_which_way_is_better_is_said_by_goal_or_unit() -> None:
    slow, fast = Figure("ms", FIVE), Figure("ms", [value / 2 for value in FIVE])
    less = Change(row([], measured=slow), row([], measured=fast))
    assert less.verdict.startswith("better")
    goal = Goal(2, "lower")
    more = Change(row(FIVE, must=goal), row([2 * value for value in FIVE], must=goal))
    assert more.verdict.startswith("worse")


def test_rows_are_matched_by_name() -> None:
    before = result(row(FIVE, name="a"), row(FIVE, name="b"))
    after = result(row(FIVE, name="b"), row(FIVE, name="c"))
    assert [one.after.name for one in changes(before, after)] == ["b"]
    assert "in one of them only: a, c" in list(told(before, after))


def test_warnings_say_what_is_not_the_same() -> None:
    same = result(row(FIVE), machine=MACHINE | {"taken_at": "tomorrow", "fdatasync_us": 900})
    assert list(told(result(row(FIVE)), same)) == []
    other = result(
        row(FIVE, foreign_cores=0.2), machine=MACHINE | {"cores": 4}, settings={"workers": 4}
    )
    assert list(told(result(row(FIVE)), other)) == [
        "another machine: cores: 2 before, 4 after",
        "another settings: workers: 2 before, 4 after",
        "others used more than 0.15 of a core: http_single",
    ]


def test_the_command_prints_warnings_and_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, made in (("a", result(row(FIVE))), ("b", result(row([2 * v for v in FIVE])))):
        (tmp_path / f"{name}.json").write_bytes(made.as_json())
    (tmp_path / "c.json").write_bytes(result(row(FIVE), machine={"processor": "B"}).as_json())
    monkeypatch.setattr("sys.argv", ["compare", *(str(tmp_path / f"{n}.json") for n in "ab")])
    compare.main()
    said = capsys.readouterr().out
    assert "http_single" in said
    assert "better (1 in" in said
    assert "another machine" not in said
    monkeypatch.setattr("sys.argv", ["compare", *(str(tmp_path / f"{n}.json") for n in "ac")])
    compare.main()
    assert "another machine: processor: A before, B after" in capsys.readouterr().out
