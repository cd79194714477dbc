"""The whole table in one run on one machine: `make bench`.

Everything shares the machine with everything: load generator, gateway and PostgreSQL. Goals are
printed and never fail the run.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from loadtests import machine
from loadtests.gateway_process import settings_in_force
from loadtests.parts import PARTS
from loadtests.report import Result, Row, printed
from loadtests.scenario import CONNECTIONS
from loadtests.stage import Stage

RUNS = 5
WIDTH_MIN = 140
# The whole table takes 20 minutes at most, and no part of it more than 5.
BEGIN_SECONDS_MAX = 15 * 60.0


def take(
    names: Sequence[str], stage: Stage, console: Console, seconds_max: float = BEGIN_SECONDS_MAX
) -> tuple[list[Row], dict[str, float], list[str]]:
    """Rows of the named parts, said one by one while they come; seconds of each part that was
    taken; and the parts that would have begun after `seconds_max`.
    """
    rows: list[Row] = []
    seconds: dict[str, float] = {}
    late: list[str] = []
    first = time.monotonic()
    for name in names:
        started = time.monotonic()
        if started - first >= seconds_max:
            late.append(name)
            continue
        console.print(f"{time.strftime('%H:%M:%S')} {name}", style="dim", highlight=False)
        rows += PARTS[name](stage)
        seconds[name] = round(time.monotonic() - started, 1)
    return rows, seconds, late


def main() -> None:
    """Run what the command line asks for, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each side [%(default)s]")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, by commas [%(default)s]")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="the disk to measure on [%(default)s]",
    )
    asked = parser.parse_args()
    wanted = set(asked.only.split(","))
    if asked.runs < 1 or not wanted <= set(PARTS):
        parser.error(f"Expected at least one run, and parts of {', '.join(PARTS)}")
    started = time.monotonic()
    found = machine.described(asked.folder)
    with Stage(asked.runs, asked.folder) as stage:
        names = [name for name in PARTS if name in wanted]
        rows, part_seconds, late = take(names, stage, Console(stderr=True))
    settings = {
        "workers": stage.workers,
        "runs": stage.runs,
        "connections": CONNECTIONS,
        **settings_in_force(),
    }
    seconds = round(time.monotonic() - started, 1)
    result = Result(found, settings, seconds, rows, part_seconds, late)
    if asked.json is not None:
        asked.json.write_bytes(result.as_json())
    wide = Console()
    wide.width = max(wide.width, WIDTH_MIN)
    printed(result, wide)


if __name__ == "__main__":
    main()
