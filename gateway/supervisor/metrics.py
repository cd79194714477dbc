"""How the supervisor and its workers share one /metrics: a directory of counters, a file a slot.

What the supervisor counts is declared here, as it has nothing to do with payments.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from prometheus_client import Counter, multiprocess

from gateway.telemetry import MULTIPROCESS_DIRECTORY, use_slot

# Workers have 0, 1, 2 …
_SUPERVISOR_SLOT = -1


def fresh_directory(path: Path) -> None:
    """Empties the directory of counters and makes this process and its children use it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    os.environ[MULTIPROCESS_DIRECTORY] = str(path)


def forget_slot(slot: int) -> None:
    """Takes back what a dead worker claimed to be doing just now; its counts stay."""
    multiprocess.mark_process_dead(slot)  # type: ignore[no-untyped-call]


RESTARTS: Final = "kopeck_restarts_total"
RESTARTS_TOLD: Final = "Processes that ended by themselves and were started again."
PROCESSES: Final = ("worker", "postgres", "valkey")


class Restarts:
    """Counts what the supervisor had to start again, for the workers' /metrics."""

    def __init__(self) -> None:
        use_slot(_SUPERVISOR_SLOT)
        counter = Counter(RESTARTS, RESTARTS_TOLD, ["process"], registry=None)
        # Made now, so that an alert sees 0 before the first restart.
        self._counters = {process: counter.labels(process) for process in PROCESSES}

    def count(self, process: str) -> None:
        """`process` is one of PROCESSES."""
        self._counters[process].inc()
