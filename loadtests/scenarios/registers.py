"""Two banks send registers, a payment a line, while card payers come one by one: both want in.

A register can wait and a payer cannot. Company beside a crowd, so it is no `Scenario`.
"""

import contextlib
import threading
from collections.abc import Iterator

from loadtests import households, http_load
from loadtests.gateway_process import Gateway
from loadtests.scenario import Staged

REGISTERS = 2
LINES = 20_000
DURABLE = '"status":201'
_SECONDS_MAX = 120.0


@contextlib.contextmanager
def registers(gateway: Gateway, staged: Staged, run: str) -> Iterator[None]:
    """So many registers of the scenario's accounts on their way; waits for their end."""
    one = staged.scenario
    failed: list[Exception] = []

    def send(number: int) -> None:
        key = f"{staged.run}-{run}-{number}"
        bodies = households.payments(one.accounts, LINES, key, base=one.first)
        content = households.bulk_request(gateway.acquirer, bodies, "/v1/payments/bulk", key)
        ready.wait()
        try:
            http_load.load(_plan(gateway.port), [content])
        except Exception as failure:
            failed.append(failure)

    ready = threading.Barrier(REGISTERS + 1)
    sending = [threading.Thread(target=send, args=(number,)) for number in range(REGISTERS)]
    for thread in sending:
        thread.start()
    ready.wait()
    try:
        yield
    finally:
        for thread in sending:
            thread.join()
    if failed:
        raise failed[0]


def _plan(port: int) -> http_load.Plan:
    return http_load.Plan(
        port=port, connections=1, seconds=_SECONDS_MAX, status=200, token=DURABLE, times=LINES
    )
