"""The bench takes the parts it is asked for, each by itself, and begins none too late."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from loadtests import bench, households
from loadtests.gateway_process import settings_in_force
from loadtests.parts import PARTS
from loadtests.report import Figure, Result, Row, page
from loadtests.stage import Stage


def row_of(name: str) -> Row:
    return Row(name, name, Figure("", [1.0]))


def test_parts_are_taken_in_order_and_say_how_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def two(stage: Stage) -> Iterator[Row]:
        yield from (row_of("b"), row_of(f"runs {stage.runs}"))

    monkeypatch.setitem(PARTS, "one", lambda stage: [row_of("a")])
    monkeypatch.setitem(PARTS, "two", two)
    said = StringIO()
    with Stage(3, tmp_path) as stage:
        rows, seconds, late = bench.take(["one", "two"], stage, Console(file=said))
        assert [row.name for row in rows] == ["a", "b", "runs 3"]
        assert (list(seconds), late) == (["one", "two"], [])
        assert [line.split()[1] for line in said.getvalue().splitlines()] == ["one", "two"]
        rows, seconds, late = bench.take(["one", "two"], stage, Console(file=said), 0.0)
        assert (rows, seconds, late) == ([], {}, ["one", "two"])
    # No gateway was started, as none of them asked for it.
    assert list(tmp_path.iterdir()) == []
    told = page(Result({}, {}, 1.0, [], {}, late))
    assert "too late to be taken: one, two" in told


def test_the_result_tells_limits_and_neither_secrets_nor_paths() -> None:
    told = settings_in_force(KOPECK_QUEUE_MAX="700", KOPECK_DATABASE_URL="postgresql://secret@h/x")
    assert told["queue_max"] == 700
    assert {"group_size_max", "linger_ms", "commit_lanes"} <= set(told)
    assert all(type(value) is int for value in told.values())


def test_a_stage_loads_what_is_asked_for_and_clears_up(tmp_path: Path) -> None:
    with Stage(1, tmp_path, workers=1) as stage:
        assert stage.stocked(120).accounts == 120
        assert stage.stocked(100).accounts == 120
        bill = next(households.bills(1, first=119))
        paid = {"subscriber_account": bill["subscriber_account"], "amount": 100, "currency": "RUB"}
        method = {"type": "cash", "terminal": "T-1"}
        secret = stage.gateway.acquirer
        answer = stage.gateway.send("POST", "/v1/payments", {**paid, "method": method}, secret)
        assert answer["state"] == "accepted"
        assert stage.peers.rows_of("payments") == 1
    assert list(tmp_path.iterdir()) == []
