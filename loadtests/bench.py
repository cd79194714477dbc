"""The whole table in one run on one machine: `make bench`.

Everything shares the machine with everything: load generator, gateway and PostgreSQL. Goals are
printed and never fail the run.
"""

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console

from loadtests import machine
from loadtests.gateway_process import Gateway, running_gateway, settings_given
from loadtests.peers import Peers, peers
from loadtests.report import Result, Row, printed
from loadtests.rows import http, splitting, stored

WORKERS = 2
RUNS = 5
BILLS = 10_000
HTTP_SECONDS = 5.0
ALONE = 1_000
# As many payments each, so that every closed batch is as large as the next.
BULK = ((1_000, 20), (20_000, 1))
WIDTH_MIN = 140
PARTS = ("splitting", "bills", "http", "alone", "bulk")


def take(runs: int, parts: list[str], folder: Path, console: Console) -> list[Row]:
    """The rows of the named parts, said one by one while they come."""
    rows: list[Row] = []

    def say(part: str) -> None:
        console.print(f"{time.strftime('%H:%M:%S')} {part}", style="dim", highlight=False)

    if "splitting" in parts:
        say("splitting")
        rows += splitting.rows(runs)
    if not set(parts) - {"splitting"}:
        return rows
    say("starting a gateway")
    with running_gateway(WORKERS, folder) as gateway, peers(gateway.database_url) as plain:
        say("bills")
        bills = stored.bills_row(gateway, plain, runs, BILLS)
        if "bills" in parts:
            rows.append(bills)
        if "http" in parts:
            say("http")
            rows += http.rows(gateway, runs, WORKERS, HTTP_SECONDS)
        if "alone" in parts:
            say("alone")
            rows.append(http.latency_row(gateway, plain, runs, ALONE))
        if "bulk" in parts:
            say("bulk, closing, disk")
            rows += _bulk(gateway, plain, runs)
    return rows


def _bulk(gateway: Gateway, plain: Peers, runs: int) -> list[Row]:
    load = stored.BulkLoad(gateway)
    closing = stored.Closing(gateway, plain)
    closing.close()
    disk = stored.Disk(plain)
    rows = []
    for lines, requests in BULK:
        rows.append(stored.bulk_row(load, plain, runs, lines, requests, closing))
    return [*rows, closing.row(), disk.row()]


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
    parts = asked.only.split(",")
    if asked.runs < 1 or not set(parts) <= set(PARTS):
        parser.error(f"Expected at least one run, and parts of {', '.join(PARTS)}")
    started = time.monotonic()
    found = machine.described(asked.folder)
    rows = take(asked.runs, parts, asked.folder, Console(stderr=True))
    settings = {
        "workers": WORKERS,
        "runs": asked.runs,
        "connections": http.CONNECTIONS,
        **settings_given(),
    }
    result = Result(found, settings, round(time.monotonic() - started, 1), rows)
    if asked.json is not None:
        asked.json.write_bytes(result.as_json())
    wide = Console()
    wide.width = max(wide.width, WIDTH_MIN)
    printed(result, wide)


if __name__ == "__main__":
    main()
