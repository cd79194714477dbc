"""What a bench found: rows of a measured figure beside another, as a table, JSON or a page.

`python -m loadtests.report result.json docs` writes the page of a result that a bench wrote.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.plots import PLOTS

Better = Literal["higher", "lower"]

LEGEND = """\
Median [least–most]. The ratio is the median of the runs' own ratios, as both sides run in turns.
`others`: cores that other programs used meanwhile; above 0.15 take the row again."""


class Figure(msgspec.Struct, frozen=True):
    """The same thing measured several times, in `unit`."""

    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{shown(self.median)} {self.unit}"
        least, most = shown(min(self.values)), shown(max(self.values))
        return f"{shown(self.median)} [{least}–{most}] {self.unit}"


class Goal(msgspec.Struct, frozen=True):
    """A bound on the ratio to what is compared, or (`of` measured) on the figure itself."""

    bound: float
    better: Better
    of: Literal["ratio", "measured"] = "ratio"

    def met(self, row: "Row") -> bool:
        value = row.ratio if self.of == "ratio" else row.measured.median
        if value is None:
            return False
        return value >= self.bound if self.better == "higher" else value <= self.bound

    def told(self, row: "Row") -> str:
        sign = "≥" if self.better == "higher" else "≤"
        return f"{sign} {self.bound:g} {'×' if self.of == 'ratio' else row.measured.unit}"


class Row(msgspec.Struct, frozen=True):
    """One line of the table. `ratio` is measured to against, the median over runs side by side.

    `foreign_cores` is how much of the machine others used meanwhile. `points` are what a plot is
    drawn of, each a measurement of its own with named values.
    """

    name: str
    what: str
    measured: Figure
    peer: str = ""
    against: Figure | None = None
    must: Goal | None = None
    aim: Goal | None = None
    note: str = ""
    foreign_cores: float = 0.0
    points: list[dict[str, float]] = []

    @property
    def ratio(self) -> float | None:
        if self.against is None:
            return None
        pairs = zip(self.measured.values, self.against.values, strict=False)
        return statistics.median(mine / other for mine, other in pairs)


class Result(msgspec.Struct, frozen=True):
    """A whole bench: where it ran, with which settings, and every row.

    `late` are parts that were not taken, as they would have begun too late.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    rows: list[Row]
    part_seconds: dict[str, float] = {}
    late: list[str] = []

    def as_json(self) -> bytes:
        """The result with each row's median and ratio beside what they were made of."""
        members = msgspec.to_builtins(self)
        for shown_row, row in zip(members["rows"], self.rows, strict=True):
            shown_row["ratio"] = row.ratio
            shown_row["measured"]["median"] = row.measured.median
            if row.against is not None:
                shown_row["against"]["median"] = row.against.median
            for goal in ("must", "aim"):
                bound = getattr(row, goal)
                if bound is not None:
                    shown_row[goal]["met"] = bound.met(row)
        return msgspec.json.format(msgspec.json.encode(members), indent=1) + b"\n"


def shown(value: float) -> str:
    """Three figures that matter; whole numbers from a hundred up."""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def table(rows: Sequence[Row]) -> Table:
    """The rows as a table, two lines for each: the figure, and below it what it is held against."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("what", "measured / against", "ratio", "must", "aim", "others"):
        made.add_column(name, overflow="fold", no_wrap=name == "measured / against")
    for row in rows:
        made.add_row(*(Text(cell) for cell in cells(row)))
    return made


def cells(row: Row) -> tuple[str, ...]:
    """One row's cells; a tick or a cross says whether a goal is met."""
    measured = str(row.measured)
    ratio = "" if row.ratio is None else f"{row.ratio:.3g} ×"
    goals = [
        "" if goal is None else f"{goal.told(row)} {'✓' if goal.met(row) else '✗'}"
        for goal in (row.must, row.aim)
    ]
    what = f"{row.what} ({row.note})" if row.note else row.what
    if row.against is not None:
        what += f"\n  against {row.peer}"
        measured += f"\n{row.against}"
    return what, measured, ratio, *goals, f"{row.foreign_cores:.2f}"


def printed(result: Result, console: Console) -> None:
    """The machine, the settings and the table."""
    for title, members in (("machine", result.machine), ("settings", result.settings)):
        told = ", ".join(f"{name} {value}" for name, value in members.items())
        console.print(Text(f"{title}: {told}"), soft_wrap=True)
    console.print(table(result.rows))
    console.print(Text(LEGEND), soft_wrap=True)
    console.print(Text(_told_seconds(result)))


def _told_seconds(result: Result) -> str:
    parts = ", ".join(f"{name} {seconds:.0f}" for name, seconds in result.part_seconds.items())
    late = f"; too late to be taken: {', '.join(result.late)}" if result.late else ""
    return f"{result.seconds:.0f} s" + (f" ({parts})" if parts else "") + late


def page(result: Result) -> str:
    """The result as a Markdown page."""
    lines = [
        "# Benchmarks",
        "",
        "One run of `make bench`; [how to read it](../loadtests/README.md). The load generator,",
        "the gateway and PostgreSQL (`fsync`, `synchronous_commit` on) share the machine.",
        "",
        "| what | measured | against | ratio | must | aim | others |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result.rows:
        what, measured, ratio, must, aim, others = cells(row)
        what, _, peer = what.partition("\n  against ")
        measured, _, against = measured.partition("\n")
        compared = f"{peer}: {against}" if peer else ""
        told = (what, measured, compared, ratio, must, aim, others)
        lines.append(f"| {' | '.join(told)} |")
    lines += ["", *LEGEND.splitlines(), ""]
    for row in result.rows:
        if row.points and row.name in PLOTS:
            name, title, _ = PLOTS[row.name]
            lines += [f"## {title}", "", f"![{title}]({name})", ""]
    lines += ["## Machine and settings", ""]
    for title, members in (("Machine", result.machine), ("Settings", result.settings)):
        told_of = ", ".join(f"{name} {value}" for name, value in members.items())
        lines += [f"{title}: {told_of}.", ""]
    lines.append(f"The whole run took {_told_seconds(result)}.")
    return "\n".join(lines) + "\n"


def drawn(result: Result) -> dict[str, str]:
    """The plots of what has points, by the file's name."""
    return {
        PLOTS[row.name][0]: PLOTS[row.name][2](row.points)
        for row in result.rows
        if row.points and row.name in PLOTS
    }


def main() -> None:
    """Write benchmarks.md and its plots into a folder."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.report", description=__doc__)
    parser.add_argument("result", type=Path, help="the JSON that a bench wrote")
    parser.add_argument("folder", type=Path, help="where the page and its plots go")
    asked = parser.parse_args()
    result = msgspec.json.decode(asked.result.read_bytes(), type=Result)
    for name, plot in drawn(result).items():
        (asked.folder / name).write_text(plot, encoding="utf-8")
    (asked.folder / "benchmarks.md").write_text(page(result), encoding="utf-8")


if __name__ == "__main__":
    main()
