"""The table and the JSON of a bench say what was measured."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from loadtests import machine
from loadtests.report import Figure, Goal, Result, Row, cells, page, printed, shown


def row(**changes: Any) -> Row:
    members: dict[str, Any] = {
        "name": "http_single",
        "what": "one payment a request",
        "measured": Figure("payments/s", [500.0, 300.0, 900.0]),
        "peer": "a constant",
        "against": Figure("/s", [1000.0, 1000.0, 1000.0]),
        "must": Goal(0.4, "higher"),
        "aim": Goal(0.6, "higher"),
    }
    return Row(**(members | changes))


def test_ratio_is_the_median_of_runs_side_by_side() -> None:
    # A slow minute that halves both sides of one run leaves its ratio as it was.
    noisy = row(
        measured=Figure("", [500.0, 250.0, 260.0]), against=Figure("", [1000.0, 500.0, 1000.0])
    )
    assert noisy.ratio == 0.5
    assert row(against=None).ratio is None


@pytest.mark.parametrize(
    ("goal", "met", "told"),
    [
        (Goal(0.5, "higher"), True, "≥ 0.5 ×"),
        (Goal(0.51, "higher"), False, "≥ 0.51 ×"),
        (Goal(0.5, "lower"), True, "≤ 0.5 ×"),
        (Goal(0.49, "lower"), False, "≤ 0.49 ×"),
        (Goal(500, "higher", "measured"), True, "≥ 500 payments/s"),
        (Goal(499, "lower", "measured"), False, "≤ 499 payments/s"),
    ],
)
def test_goals_are_of_the_ratio_or_of_the_figure(goal: Goal, met: bool, told: str) -> None:
    assert (goal.met(row()), goal.told(row())) == (met, told)


def test_a_row_shows_both_figures_and_its_goals() -> None:
    assert cells(row(foreign_cores=0.25)) == (
        "one payment a request\n  against a constant",
        "500 [300–900] payments/s\n1 000 [1 000–1 000] /s",
        "0.5 ×",
        "≥ 0.4 × ✓",
        "≥ 0.6 × ✗",
        "0.25",
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "0.0123"), (33.44, "33.4"), (99.96, "100"), (1234567.0, "1 234 567")],
)
def test_figures_have_three_digits_that_matter(value: float, text: str) -> None:
    assert shown(value) == text


def test_json_holds_what_a_later_comparison_needs() -> None:
    result = Result({"cores": 2}, {"workers": 2}, 12.5, [row(), row(against=None, must=None)])
    read = json.loads(result.as_json())
    assert set(read) == {"machine", "settings", "seconds", "rows", "part_seconds", "late"}
    first, second = read["rows"]
    assert first["measured"] == {
        "unit": "payments/s", "values": [500.0, 300.0, 900.0], "median": 500.0,
    }  # fmt: skip
    assert first["against"]["median"] == 1000.0
    assert first["ratio"] == 0.5
    assert first["must"] == {"bound": 0.4, "better": "higher", "of": "ratio", "met": True}
    assert first["aim"]["met"] is False
    assert (second["ratio"], second["against"], second["must"]) == (None, None, None)
    assert second["aim"]["met"] is False


def test_printed_table_names_machine_and_rows(capsys: pytest.CaptureFixture[str]) -> None:
    found = machine.described(Path())
    printed(Result(found, {"workers": 2}, 1.0, [row()]), Console(width=140))
    said = capsys.readouterr().out
    assert "one payment a request" in said
    assert "500 [300–900] payments/s" in said
    assert "Median [least–most]" in said
    assert f"python {found['python']}" in said
    assert found["fdatasync_us"] > 0


def test_page_can_be_made_of_a_written_result() -> None:
    result = Result({"cores": 2}, {"workers": 2}, 12.5, [row(), row(against=None, peer="")])
    read = msgspec.json.decode(result.as_json(), type=Result)
    assert read == result
    lines = page(read).splitlines()
    assert (
        "| one payment a request | 500 [300–900] payments/s | a constant: 1 000 [1 000–1 000] /s"
        " | 0.5 × | ≥ 0.4 × ✓ | ≥ 0.6 × ✗ | 0.00 |" in lines
    )
    assert "| one payment a request | 500 [300–900] payments/s |  |  | ≥ 0.4 × ✗" in page(read)
    assert "Machine: cores 2." in lines
