"""What the demo prints: headings, sentences, tables. It shows what it is given and decides nothing.

A terminal gets colours and a moving bar; a pipe gets plain lines, so that a log stays readable.
"""

import contextlib
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gateway.demo.roubles import roubles

_PIPE_COLUMNS = 110
_ROOMY_COLUMNS = 100
_PLAIN_EVERY = 1_000
_INDENT = (0, 0, 0, 2)

Cell = str | int | None
Column = str
"""A heading: numbers and a place to the right under one that ends in `>`, long text that may be
broken under one that ends in `~`."""


class Show:
    """The output of one run."""

    def __init__(self) -> None:
        # A terminal of an old encoding shows question marks rather than ending the demo.
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
        self._console = Console(
            width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_COLUMNS,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._chapter = 0

    def chapter(self, title: str) -> None:
        """The heading of the next step."""
        self._chapter += 1
        self._console.print()
        self._console.print(Text(f"{self._chapter}. {title}", style="bold cyan"))

    def say(self, sentence: str) -> None:
        """A sentence under the heading."""
        self._print(sentence, "  ")

    def holds(self, sentence: str) -> None:
        """Something that was checked and holds."""
        self._print(sentence, "✓ ")

    def verbatim(self, lines: Iterable[str]) -> None:
        """Lines of a file or a command, for copying: never broken by us."""
        for line in lines:
            self._console.print(Text("    " + line, style="dim"), soft_wrap=True)

    def ending(self, sentence: str) -> None:
        """The last line."""
        self._console.print()
        self._console.print(Text(sentence, style="bold green"), soft_wrap=True)

    def table(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[Cell] | None],
        total: Sequence[Cell] | None = None,
    ) -> None:
        """A table; an int is kopecks and shown as roubles, None in place of a row is a line."""
        gap = int(self._console.width >= _ROOMY_COLUMNS)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap), header_style="bold")
        for heading in columns:
            table.add_column(
                heading.rstrip(">~"),
                justify="right" if heading.endswith(">") else "left",
                no_wrap=not heading.endswith("~"),
                overflow="fold",
            )
        for row in rows:
            if row is None:
                table.add_section()
            else:
                table.add_row(*map(_shown, row))
        if total is not None:
            table.add_section()
            table.add_row(*map(_shown, total), style="bold")
        self._console.print(Padding(table, _INDENT, expand=False))

    def _print(self, sentence: str, mark: str) -> None:
        """A sentence under a mark; a terminal gets it broken at spaces, but never inside a number.

        Rich would break at the narrow spaces of amounts.
        """
        lines = [sentence]
        if self._console.is_terminal:
            lines = textwrap.wrap(sentence, self._console.width - 4, break_on_hyphens=False)
        for line in lines:
            self._console.print(Text.assemble("  ", (mark, "bold green"), line), soft_wrap=True)
            mark = "  "

    @contextlib.contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Progress while something is counted up to `total`: a bar, or a line every thousand."""
        if not self._console.is_terminal:
            yield _plain_counter(self.say, what, total)
            return
        bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        with bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.update(task, advance=count)


def _plain_counter(say: Callable[[str], None], what: str, total: int) -> Callable[[int], None]:
    counted = 0

    def count(more: int) -> None:
        nonlocal counted
        before, counted = counted, counted + more
        if counted // _PLAIN_EVERY > before // _PLAIN_EVERY or counted == total:
            say(f"{what}: {counted} of {total}")

    return count


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else roubles(cell)
