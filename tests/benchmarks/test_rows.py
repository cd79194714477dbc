"""The rows of contention and latency hold what they say they measured, taken small."""

from pathlib import Path

import pytest

from loadtests import scenario, stage
from loadtests.gateway_process import Gateway
from loadtests.rows import hot_spots, latency, overload, registers, settlement
from loadtests.scenario import Staged
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios import registers as sending
from loadtests.scenarios.many_payers_many_recipients import MANY_PAYERS_MANY_RECIPIENTS
from loadtests.scenarios.overload import Crowd
from loadtests.stage import Stage
from tests.benchmarks.conftest import FEW, Small

SOON = 0.3


@pytest.fixture
def small_stage(
    gateway: Gateway, small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stage:
    """A stage on the gateway of the tests, with few accounts and short runs."""
    monkeypatch.setattr(scenario, "PER_SECOND_MAX", 3_000)
    monkeypatch.setattr(stage, "MANY_PAYERS_MANY_RECIPIENTS", small(MANY_PAYERS_MANY_RECIPIENTS))
    made = Stage(2, tmp_path, workers=1)
    made.gateway = gateway
    return made


def test_latency_has_a_point_for_each_load(
    small_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SATURATION_SECONDS", "NEAR_SECONDS", "LOAD_SECONDS"):
        monkeypatch.setattr(latency, name, SOON)
    monkeypatch.setattr(latency, "LOADS", (0.2, 0.5))
    (row,) = latency.part(small_stage)
    assert [point["load"] for point in row.points] == [0.2, 0.5, 0.95, 0.95]
    assert row.measured.values == [point["p99_ms"] for point in row.points[2:]]
    assert all(0 < point["p50_ms"] <= point["p99_ms"] for point in row.points)
    assert row.must is not None
    assert row.aim is not None


def test_hot_spots_are_held_against_the_ordinary_day(
    small_stage: Stage, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot_spots, "SECONDS", SOON)
    for name, one in SCENARIOS.items():
        monkeypatch.setitem(SCENARIOS, name, small(one))
    rows = {row.name: row for row in hot_spots.part(small_stage)}
    names = {f"hot_{name}" for name in SCENARIOS} - {"hot_many_payers_many_recipients"}
    assert set(rows) == names | {"hot_slow_callers"}
    assert {name for name, row in rows.items() if row.must} == {
        f"hot_{name}" for name in hot_spots.MUST
    }
    for row in rows.values():
        assert row.against is not None
        assert len(row.measured.values) == len(row.against.values) == 2
        assert min(row.measured.values + row.against.values) > 0


def test_payers_beside_registers_are_held_against_payers_alone(
    small_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers, "SECONDS", SOON)
    monkeypatch.setattr(registers, "CONNECTIONS", 20)
    monkeypatch.setattr(sending, "LINES", 10 * FEW)
    (row,) = registers.part(small_stage)
    assert row.against is not None
    assert row.against.unit == row.measured.unit == "ms"
    # A short queue that registers fill may refuse all who come beside them, but nobody alone.
    assert min(row.against.values) > 0
    assert row.note.endswith("of 120 refused")


def test_an_overload_that_refuses_has_a_row_of_its_refusals(
    gateway: Gateway, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overload, "PEAK_SECONDS", SOON)
    monkeypatch.setattr(overload, "SECONDS", 1.0)
    staged = Staged(gateway, small(MANY_PAYERS_MANY_RECIPIENTS), "test-refusing")
    waiting = list(overload.rows(Crowd("waiting", "few", 20), staged, 1))
    assert [row.name for row in waiting] == ["waiting"]
    assert waiting[0].note == "none refused"
    refusing = list(overload.rows(Crowd("refusing", "many", 1_500, rest_s=0.2), staged, 1))
    assert [row.name for row in refusing] == ["refusing", "refusing_p99"]
    assert refusing[1].measured.median > 0


def test_a_day_is_closed_and_all_its_reports_are_read(
    small_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PAYMENTS": 2_000, "ROUNDS": 2, "COMPANIES": 20, "MODELS": 140}.items():
        monkeypatch.setattr(settlement, name, value)
    for name in ("PAYING_S", "CLOSED_AFTER_S"):
        monkeypatch.setattr(settlement, name, SOON)
    with small_stage:
        close, reports, payers = settlement.part(small_stage)
    assert "of 2000 payments (16000 shares)" in close.what
    assert "all 42 recipients" in reports.what
    assert "MB; COPY" in reports.note
    for row in (close, reports, payers):
        assert row.against is not None
        assert len(row.measured.values) == len(row.against.values) == 2
        assert min(row.measured.values + row.against.values) > 0
