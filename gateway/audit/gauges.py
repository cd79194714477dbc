"""Money as gauges, by plain SQL over what is stored, for whoever watches.

Closed batches are summed from their positions; of the open one the rows themselves are read, a
slice at a time with pauses, so that no payer waits for them and no snapshot grows old. Every row
is in balance by itself, so steps made at different moments show no imbalance that is not there.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from gateway.audit import store

# About two milliseconds of the database: what a payer may have to wait beside.
STEP_ROWS: Final = 1_000

Connection = Callable[[], AbstractAsyncContextManager[Any]]
# Told how long the last step took, in seconds.
Pause = Callable[[float], Awaitable[None]]


class MoneyGauges(Struct, frozen=True):
    """Kopecks out of balance, in suspense, and owed to recipients by kind; payouts by state."""

    imbalance: int
    suspense: int
    unsettled: dict[str, int]
    payouts: dict[str, int]


async def money(connection: Connection, pause: Pause) -> MoneyGauges:
    """The gauges; what came while they were counted may be in them or not."""
    started = time.perf_counter()
    async with connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        await store.take_time(conn)
        batches = await store.uncounted(conn)
        suspense = await store.suspense(conn)
        payouts = await store.payouts_by_state(conn)
        unsettled = Counter(await store.payable(conn))
        moved = await store.moved_afterwards(conn, batches)
        first = await store.first_payment(conn, batches)
    imbalance = _add(moved, unsettled)
    while first is not None:
        await pause(time.perf_counter() - started)
        started = time.perf_counter()
        async with connection() as conn:
            last = await store.last_of_step(conn, first, STEP_ROWS)
            if last is None:
                break
            moved = await store.moved_by_payments(conn, first, last, batches)
        imbalance += _add(moved, unsettled)
        first = UUID(int=last.int + 1)
    return MoneyGauges(imbalance, suspense, dict(unsettled), payouts)


def _add(moved: list[store.Moved], unsettled: "Counter[str]") -> int:
    """Add what was moved to what recipients are owed; kopecks out of balance."""
    for kind, credit, withheld in moved:
        if kind is not None:
            unsettled[kind] += credit - withheld
    return sum(credit for _, credit, _ in moved)
