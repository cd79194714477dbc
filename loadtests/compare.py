"""Two results beside each other: `python -m loadtests.compare before.json after.json`.

What is compared of a row is its ratio to what it was measured against, where it has one, as a
ratio outlives a slow hour; else the figure itself.
"""

import argparse
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.report import Result, Row

# What differs from one run to the next on the same machine.
PASSING = {"taken_at", "load_average", "fdatasync_us"}
FOREIGN_MAX = 0.15
LEGEND = """\
After to before: median to median [least to most–most to least]. A row differs where every run of
one result lies on the same side of every run of the other; in brackets how often chance alone does
that. With one run of each it always does, so nothing is said."""


def values(row: Row) -> list[float]:
    """What counts of each run: the ratio to the other side, or the figure."""
    if row.against is None:
        return row.measured.values
    pairs = zip(row.measured.values, row.against.values, strict=False)
    return [mine / other for mine, other in pairs]


class Change:
    """A row of two results."""

    def __init__(self, before: Row, after: Row) -> None:
        self.before, self.after = before, after
        old, new = values(before), values(after)
        self.ratio = statistics.median(new) / statistics.median(old)
        self.least, self.most = min(new) / max(old), max(new) / min(old)
        # Two orders of all that are possible set the results apart.
        self.one_in = math.comb(len(old) + len(new), len(old)) // 2
        self.apart = self.one_in > 1 and (min(new) > max(old) or max(new) < min(old))

    @property
    def verdict(self) -> str:
        if not self.apart:
            return "" if self.one_in > 1 else "one run"
        goal = self.after.must or self.after.aim
        higher = goal.better == "higher" if goal else self.after.measured.unit.endswith("/s")
        better = (self.ratio > 1) == higher
        return f"{'better' if better else 'worse'} (1 in {self.one_in})"

    @property
    def disturbed(self) -> bool:
        return max(self.before.foreign_cores, self.after.foreign_cores) > FOREIGN_MAX


def changes(before: Result, after: Result) -> list[Change]:
    """Rows that both results have, in the order of the later one."""
    known = {row.name: row for row in before.rows}
    return [Change(known[row.name], row) for row in after.rows if row.name in known]


def differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """What of the machine or the settings is not the same, a line each."""
    for name in sorted((before.keys() | after.keys()) - PASSING):
        was, now = before.get(name), after.get(name)
        if was != now:
            yield f"{name}: {was} before, {now} after"


def told(before: Result, after: Result) -> Iterator[str]:
    """Warnings: what makes the two results hard to compare."""
    for what in ("machine", "settings"):
        for line in differences(getattr(before, what), getattr(after, what)):
            yield f"another {what}: {line}"
    names = [{row.name for row in result.rows} for result in (before, after)]
    if missing := sorted(names[0] ^ names[1]):
        yield f"in one of them only: {', '.join(missing)}"
    if disturbed := [one.after.name for one in changes(before, after) if one.disturbed]:
        yield f"others used more than {FOREIGN_MAX} of a core: {', '.join(disturbed)}"


def table(compared: list[Change]) -> Table:
    """A line a row: the figures of both, and what changed."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("row", "before", "after", "after to before", "differs"):
        made.add_column(name, overflow="fold")
    for one in compared:
        ratio = f"{one.ratio:.3g} × [{one.least:.3g}–{one.most:.3g}]"
        cells = (one.after.name, _shown(one.before), _shown(one.after), ratio, one.verdict)
        made.add_row(*(Text(cell) for cell in cells))
    return made


def _shown(row: Row) -> str:
    return str(row.measured) if row.ratio is None else f"{row.ratio:.3g} ×"


def main() -> None:
    """Print warnings and the table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    asked = parser.parse_args()
    before, after = (
        msgspec.json.decode(path.read_bytes(), type=Result) for path in (asked.before, asked.after)
    )
    console = Console()
    for line in told(before, after):
        console.print(Text(line), style="yellow", soft_wrap=True)
    console.print(table(changes(before, after)))
    console.print(Text(LEGEND), soft_wrap=True)


if __name__ == "__main__":
    main()
