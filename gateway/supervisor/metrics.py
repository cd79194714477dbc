"""How processes share one /metrics: files named for a worker's slot instead of its pid.

A worker that is started again goes on in the file of the one before it, so counters never go
backwards and the number of files does not grow. The metrics themselves are declared elsewhere.
"""

import os
import shutil
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
SUPERVISOR_SLOT = "supervisor"


def fresh_directory(path: Path) -> None:
    """Empties the directory of counters and makes this process and its children use it.

    Must run before prometheus_client is first imported, which looks at the variable once.
    """
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    os.environ[VARIABLE] = str(path)


def use_slot(slot: int | str) -> None:
    """This process counts in the files of `slot`; call it before any metric is declared."""
    from prometheus_client import values

    if VARIABLE in os.environ:
        values.ValueClass = values.MultiProcessValue(process_identifier=lambda: slot)  # type: ignore[no-untyped-call]


def forget_slot(slot: int) -> None:
    """Takes back what a dead worker claimed to be doing just now; its counts stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(slot)  # type: ignore[no-untyped-call]


class Restarts:
    """Counts what the supervisor had to start again."""

    def __init__(self) -> None:
        use_slot(SUPERVISOR_SLOT)
        from prometheus_client import Counter

        self._counter = Counter(
            "kopeck_restarts_total",
            "Processes that ended by themselves and were started again.",
            ["process"],
            registry=None,
        )

    def count(self, process: str) -> None:
        """`process` is `worker` or `postgres`."""
        self._counter.labels(process).inc()
