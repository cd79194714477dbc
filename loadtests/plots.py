"""Plots of a result's points as SVG: latency against load, throughput against stored payments.

A chart is a handful of lines and words, so it is written here; nothing is drawn that was not
measured, and points of the same place are drawn as their median.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[dict[str, float]]

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 72, 96, 56, 56
TICKS = 6
COLOURS = ("#1a5fb4", "#c64600", "#2a7a3b")
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.t{font-size:16px;font-weight:600}"
    ".g{stroke:#ddd}.a{stroke:#444}"
)


@dataclass(frozen=True)
class Axis:
    """From `least` to `most`, evenly or by logarithm; `marks` are written at their places."""

    label: str
    least: float
    most: float
    marks: list[float]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value, 0 to 1."""
        if self.logarithmic:
            return math.log(value / self.least) / math.log(self.most / self.least)
        return (value - self.least) / (self.most - self.least)


def even(label: str, values: Sequence[float]) -> Axis:
    """From 0 to a round number above all values."""
    step = _round_step(max(values) / TICKS)
    most = step * math.ceil(max(values) / step)
    return Axis(label, 0.0, most, [step * mark for mark in range(round(most / step) + 1)])


def logarithmic(label: str, values: Sequence[float]) -> Axis:
    """Between two of 1, 2, 5, 10, 20 … that hold all values."""
    steps = [mark * 10.0**power for power in range(-3, 8) for mark in (1, 2, 5)]
    first = max((at for at, step in enumerate(steps) if step <= min(values)), default=0)
    last = next(at for at, step in enumerate(steps) if step >= max(values) and at > first)
    return Axis(label, steps[first], steps[last], steps[first : last + 1], logarithmic=True)


def _round_step(least: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(power * mark for mark in (1, 2, 5, 10) if power * mark >= least * 0.999)


def chart(title: str, x: Axis, y: Axis, lines: dict[str, list[tuple[float, float]]]) -> str:
    """The SVG of lines by name, each a list of places on the two axes."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def left_of(value: float) -> float:
        return LEFT + x.at(value) * (right - LEFT)

    def top_of(value: float) -> float:
        return bottom - y.at(value) * (bottom - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 26, title, "start", "t"),
        _text((LEFT + right) / 2, HEIGHT - 14, x.label, "middle"),
        _text(LEFT, TOP - 12, y.label, "start"),
    ]
    for mark in y.marks:
        parts.append(_line(LEFT, top_of(mark), right, top_of(mark), "g"))
        parts.append(_text(LEFT - 8, top_of(mark) + 4, shown(mark), "end"))
    for mark in x.marks:
        parts.append(_line(left_of(mark), bottom, left_of(mark), bottom + 5, "a"))
        parts.append(_text(left_of(mark), bottom + 20, shown(mark), "middle"))
    parts.append(_line(LEFT, bottom, right, bottom, "a"))
    for colour, (name, places) in zip(COLOURS, lines.items(), strict=False):
        drawn = [(left_of(one), top_of(other)) for one, other in places]
        along = " ".join(f"{one:.1f},{other:.1f}" for one, other in drawn)
        parts.append(f'<polyline points="{along}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{one:.1f}" cy="{other:.1f}" r="3.5" fill="{colour}"/>'
            for one, other in drawn
        ]
        last = drawn[-1]
        parts.append(_text(last[0] + 10, last[1] + 4, name, "start", fill=colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def shown(value: float) -> str:
    """A mark in short: 0.5, 20, 1 500, 20 M."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:g} M"
    return f"{value:,.10g}".replace(",", "\N{NO-BREAK SPACE}")


def _text(
    x: float, y: float, words: str, anchor: str, name: str = "", fill: str | None = None
) -> str:
    more = (f' class="{name}"' if name else "") + (f' style="fill:{fill}"' if fill else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{name}"/>'


def medians(points: Points, x: str, y: str) -> list[tuple[float, float]]:
    """Places in the order of `x`, with the median of `y` where several points share one."""
    places = sorted({point[x] for point in points})
    return [
        (place, statistics.median(point[y] for point in points if point[x] == place))
        for place in places
    ]


def latency(points: Points) -> str:
    """p50 and p99 in milliseconds against the load, in per cent of saturation."""
    lines = {
        name: [(100 * load, ms) for load, ms in medians(points, "load", f"{name}_ms")]
        for name in ("p50", "p99")
    }
    everything = [ms for line in lines.values() for _, ms in line]
    saturated = statistics.median(point["offered_per_s"] / point["load"] for point in points)
    return chart(
        f"Latency of a durable payment (saturation: {shown(round(saturated, -2))} a second)",
        Axis("load, % of saturation", 0.0, 100.0, [20.0 * mark for mark in range(6)]),
        logarithmic("ms from when the payer came", everything),
        lines,
    )


def stored(points: Points) -> str:
    """Durable payments a second against how many payments are stored already."""
    line = medians(points, "stored", "payments_per_s")
    return chart(
        "Throughput against stored payments",
        even("payments stored", [place for place, _ in line]),
        even("durable payments a second", [per_second for _, per_second in line]),
        {"": line},
    )


# The row whose points are drawn: the plot's name and title, and what draws it.
PLOTS: dict[str, tuple[str, str, Callable[[Points], str]]] = {
    "http_95": ("benchmarks-latency.svg", "Latency against load", latency),
    "stored": ("benchmarks-stored.svg", "Throughput against stored payments", stored),
}
