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
# How many times as long as it took to find where to begin that is believed.
LOOK_SHARE: Final = 10_000

Connection = Callable[[], AbstractAsyncContextManager[Any]]
# Told how long the last step took, in seconds.
Pause = Callable[[float], Awaitable[None]]


class MoneyGauges(Struct, frozen=True):
    """Kopecks out of balance, in suspense, and owed to recipients by kind; payouts by state."""

    imbalance: int
    suspense: int
    unsettled: dict[str, int]
    payouts: dict[str, int]


class Start:
    """Where counting begins: the oldest payment of the batches that are not counted yet.

    To find it all of their rows are read, a sixth of a second for a million. So it is kept while
    the batches are the same, for LOOK_SHARE times what finding it took. Only a try at an acquirer
    that was begun before that payment and is booked meanwhile is counted so much later.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._batches: list[int] = []
        self._first: UUID | None = None
        self._again_at = 0.0

    async def of(self, conn: Any, batches: list[int]) -> UUID | None:
        """The id of the oldest payment in these batches; None where there is none."""
        before = self._now()
        if self._first is None or batches != self._batches or before >= self._again_at:
            self._first = await store.first_payment(conn, batches)
            self._batches = batches
            self._again_at = before + LOOK_SHARE * (self._now() - before)
        return self._first


async def money(connection: Connection, pause: Pause, start: Start | None = None) -> MoneyGauges:
    """The gauges; what came while they were counted may be in them or not.

    `start` is kept from one count to the next.
    """
    start = start or Start()
    started = time.perf_counter()
    async with connection() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        await store.take_time(conn)
        batches = await store.uncounted(conn)
        suspense = await store.suspense(conn)
        payouts = await store.payouts_by_state(conn)
        unsettled = Counter(await store.payable(conn))
        moved = await store.moved_afterwards(conn, batches)
        first = await start.of(conn, batches)
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
