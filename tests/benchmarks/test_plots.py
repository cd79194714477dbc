"""Plots are well-formed SVG and show what was measured, where it belongs."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from loadtests import report
from loadtests.plots import PLOTS, chart, even, latency, logarithmic, medians, shown, stored
from loadtests.report import Figure, Result, Row

SVG = "{http://www.w3.org/2000/svg}"
CURVE = [
    {"load": load, "offered_per_s": 5_000 * load, "p50_ms": 1.0 / load, "p99_ms": p99}
    for load, p99 in ((0.3, 6.0), (0.1, 25.0), (0.9, 12.0), (0.95, 20.0), (0.95, 700.0), (0.95, 30))
]
VOLUME = [
    {"stored": float(count), "payments_per_s": 5_000.0 - count / 10_000}
    for count in (0, 1_000_000, 20_000_000)
]


def read(plot: str) -> ET.Element:
    return ET.fromstring(plot)  # noqa: S314 - made here


def places(plot: str, line: int) -> list[tuple[float, float]]:
    points = read(plot).findall(f"{SVG}polyline")[line].attrib["points"]
    return [tuple(map(float, point.split(","))) for point in points.split()]  # type: ignore[misc]


def test_latency_has_a_line_for_each_percentile() -> None:
    plot = latency(CURVE)
    texts = [text.text for text in read(plot).iter(f"{SVG}text")]
    assert {"p50", "p99", "load, % of saturation", "ms from when the payer came"} <= set(texts)
    assert any("5\N{NO-BREAK SPACE}000 a second" in str(text) for text in texts)
    p50, p99 = places(plot, 0), places(plot, 1)
    assert len(p50) == len(p99) == 4
    assert [x for x, _ in p50] == sorted(x for x, _ in p50)
    # Down is more for the eye and less for SVG: a higher latency has a smaller y.
    assert p50[0][1] < p50[-1][1]
    assert all(low[1] > high[1] for low, high in zip(p50, p99, strict=True))


def test_throughput_begins_at_nothing() -> None:
    plot = stored(VOLUME)
    line = places(plot, 0)
    texts = [text.text for text in read(plot).iter(f"{SVG}text")]
    assert {"0", "20 M", "payments stored"} <= set(texts)
    assert len(line) == len(read(plot).findall(f"{SVG}circle")) == 3
    assert line[0][1] < line[1][1] < line[2][1]


def test_words_cannot_break_the_svg() -> None:
    axis = even("a < b & c", [3.0])
    assert axis.label == "a < b & c"
    plot = chart("<script>", axis, axis, {"&": [(0.0, 1.0), (3.0, 3.0)]})
    assert [title.text for title in read(plot).iter(f"{SVG}title")] == ["<script>"]


def test_points_of_one_place_are_their_median() -> None:
    assert medians(CURVE, "load", "p99_ms") == [(0.1, 25.0), (0.3, 6.0), (0.9, 12.0), (0.95, 30)]


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        ([7.0], [0, 2, 4, 6, 8]),
        ([0.0, 4_999.0], [0, 1_000, 2_000, 3_000, 4_000, 5_000]),
        ([0.6], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
    ],
)
def test_marks_of_an_even_axis_are_round(values: list[float], marks: list[float]) -> None:
    axis = even("", values)
    assert axis.marks == pytest.approx(marks)
    assert axis.at(0) == 0
    assert 0 < axis.at(max(values)) <= 1


@pytest.mark.parametrize(
    ("values", "marks"),
    [([1.5, 19.0], [1, 2, 5, 10, 20]), ([5.0, 5.0], [5, 10]), ([0.3, 2.0], [0.2, 0.5, 1, 2])],
)
def test_a_logarithmic_axis_holds_all_values(values: list[float], marks: list[float]) -> None:
    axis = logarithmic("", values)
    assert axis.marks == pytest.approx(marks)
    assert all(0 <= axis.at(value) <= 1 for value in values)


def test_marks_are_short() -> None:
    words = [shown(value).replace("\N{NO-BREAK SPACE}", " ") for value in (0.5, 1_500.0, 2e7)]
    assert words == ["0.5", "1 500", "20 M"]


def test_the_page_shows_the_plots_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Row("http_95", "p99", Figure("ms", [20.0]), points=CURVE),
        Row("stored", "volume", Figure("payments/s", [5_000.0]), points=VOLUME),
        Row("other", "no plot of these", Figure("", [1.0]), points=VOLUME),
    ]
    result = Result({"cores": 2}, {"workers": 2}, 60.0, rows, {"latency": 59.0})
    (tmp_path / "result.json").write_bytes(result.as_json())
    monkeypatch.setattr("sys.argv", ["report", str(tmp_path / "result.json"), str(tmp_path)])
    report.main()
    page = (tmp_path / "benchmarks.md").read_text()
    for name, title, _ in PLOTS.values():
        assert f"![{title}]({name})" in page
        assert read((tmp_path / name).read_text()).tag == f"{SVG}svg"
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == sorted(
        name for name, _, _ in PLOTS.values()
    )
    assert "60 s (latency 59)" in page
