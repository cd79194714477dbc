"""What the parts of the table measure on: one gateway, and plain SQL beside it, for all of them.

Both begin when a part first asks, so that a part which needs neither waits for neither.
"""

import contextlib
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

import orjson

from loadtests import households
from loadtests.gateway_process import Gateway, running_gateway
from loadtests.peers import Peers, peers
from loadtests.report import Row
from loadtests.scenario import Staged
from loadtests.scenarios.many_payers_many_recipients import MANY_PAYERS_MANY_RECIPIENTS

WORKERS = 2
# Payers of one run follow each other without repeating: as many as a run has payments.
ACCOUNTS = 50_000
_LOAD = 10_000


class Stage:
    """Shared by the parts of one run; `runs` is how often each side of a row is measured."""

    def __init__(self, runs: int, folder: Path, workers: int = WORKERS) -> None:
        self.runs = runs
        self.folder = folder
        self.workers = workers
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    @cached_property
    def gateway(self) -> Gateway:
        """A gateway on a fresh directory, with recipients and no bills but what parts loaded."""
        return self._stack.enter_context(running_gateway(self.workers, self.folder))

    @cached_property
    def ordinary(self) -> Staged:
        """The scenario that others are held against, on accounts of its own."""
        return Staged(self.gateway, MANY_PAYERS_MANY_RECIPIENTS)

    @cached_property
    def peers(self) -> Peers:
        """Plain SQL on the gateway's own PostgreSQL."""
        return self._stack.enter_context(peers(self.gateway.database_url))

    def stocked(self, accounts: int = ACCOUNTS) -> Gateway:
        """The gateway with open bills of at least so many accounts."""
        gateway = self.gateway
        while gateway.accounts < accounts:
            count = min(_LOAD, accounts - gateway.accounts)
            bodies = households.bills(count, first=gateway.accounts)
            lines = [orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE) for body in bodies]
            gateway.load_bills(b"".join(lines), count)
        return gateway


Part = Callable[[Stage], Iterable[Row]]
