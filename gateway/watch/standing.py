"""What alerts look at beside the money itself: ages of what waits, clocks, disk, the database.

Each look costs a few index lookups, however much is stored: what was found to be done with stays
so, and the next look begins after it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from gateway.domain import ids
from gateway.domain.clock import Clock
from gateway.storage import months
from gateway.watch import store

Connection = Callable[[], AbstractAsyncContextManager[Any]]
LateFrom = Callable[[Any, datetime, datetime | None], Awaitable[datetime | None]]

# An id is made before its commit, and on whatever machine: nobody is so much later than another.
_STRAGGLERS: Final = timedelta(hours=1)
# The same around a cut, which waits for what is in flight.
_AROUND_A_CUT: Final = timedelta(minutes=1)


class Disk(Struct, frozen=True):
    """Bytes that are free for us, and bytes in all."""

    free: int
    size: int


class Standing(Struct, frozen=True):
    """Ages in seconds, 0 where nothing waits; `clock_skew` is the database's clock less ours.

    `settlement_late` counts from the end of the working day on which the money was to go out;
    `replica_lag` is in bytes of the log, None where the role may not see it; `disk` is None where
    the database is not on this machine; `receivable` is in kopecks;
    `held_age` is of a restore that nobody has lifted; `counted` are the database's counts since it
    began.
    """

    suspense_age: float
    unsettled_age: float
    settlement_late: float
    payout_age: float
    statement_age: float
    clock_skew: float
    months_ahead: float
    connections: int
    connections_max: int
    size: int
    longest: float
    freeze_age: int
    replicas: int
    replica_lag: int | None
    counted: Mapping[str, int]
    disk: Disk | None
    receivable: int
    receivable_age: float
    held_age: float


class Watch:
    """Looks again and again; keeps from where the next look has to begin."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        data: Path | None,
        late_from: LateFrom,
    ) -> None:
        """`late_from` tells from when money in no approved batch is late, the first of which was
        taken at a moment; None where none will be.
        """
        self._connection = connection
        self._clock = clock
        self._late_from = late_from
        self._data = data
        self._suspense_from = UUID(int=0)
        # The unapproved batch that was looked at last, and its first money.
        self._batch: tuple[int, datetime] | None = None

    async def look(self) -> Standing:
        """How it stands now; raises what the database raises."""
        disk = None if self._data is None else await asyncio.to_thread(disk_of, self._data)
        async with self._connection() as conn:
            skew, server = await self._server(conn)
            lag = await store.replication(conn)
            suspense = await self._suspense(conn)
            unsettled = await self._unsettled(conn)
            late = await self._late_from(conn, self._clock.now(), unsettled)
            approved = await store.oldest_unpaid(conn)
            stated = await store.last_statement(conn)
            owing, owed_since = await store.receivable(conn)
            held = await store.held_since(conn)
            months_end = await months.until(conn)
        return Standing(
            self._age(suspense),
            self._age(unsettled),
            self._age(late),
            self._age(approved),
            # Only while something waits to be stated, and only since then.
            self._age(None if approved is None else max(approved, stated or approved)),
            skew,
            (months_end - self._clock.now()).total_seconds(),
            server["connections"],
            server["connections_max"],
            server["size"],
            server["longest"],
            server["freeze_age"],
            lag["replicas"],
            lag["bytes"],
            {name: server[name] for name in store.COUNTED},
            disk,
            owing,
            # What is settled already only waits for its batch.
            self._age(owed_since if owing else None),
            self._age(held),
        )

    async def _server(self, conn: Any) -> tuple[float, Any]:
        before = self._clock.now()
        server = await store.server(conn)
        after = self._clock.now()
        return skew_of(before, server["now"], after), server

    async def _suspense(self, conn: Any) -> datetime | None:
        """When the oldest money in suspense was taken."""
        looked_at = self._clock.now()
        found = await store.oldest_suspense(conn, self._suspense_from)
        oldest = looked_at if found is None else datetime.fromtimestamp(_seconds(found["id"]), UTC)
        self._suspense_from = ids.earliest(oldest - _STRAGGLERS)
        return None if found is None else found["accepted_at"]

    async def _unsettled(self, conn: Any) -> datetime | None:
        """When the oldest money was placed that is in no approved batch."""
        number, cut_at = await store.oldest_unapproved(conn)
        if self._batch is None or self._batch[0] != number:
            since = UUID(int=0) if cut_at is None else ids.earliest(cut_at - _AROUND_A_CUT)
            first = await store.first_money(conn, number, since)
            self._batch = None if first is None else (number, first)
        return None if self._batch is None else self._batch[1]

    def _age(self, moment: datetime | None) -> float:
        if moment is None:
            return 0.0
        return max(0.0, (self._clock.now() - moment).total_seconds())


def skew_of(before: datetime, theirs: datetime, after: datetime) -> float:
    """Seconds their clock is certainly ahead of ours: what the way there and back explains is 0."""
    ahead = (theirs - after).total_seconds()
    behind = (theirs - before).total_seconds()
    return max(0.0, ahead) + min(0.0, behind)


def disk_of(folder: Path) -> Disk:
    """The disk that the folder is on."""
    found = os.statvfs(folder)
    return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def _seconds(id_: UUID) -> float:
    """When an id was made, as seconds since 1970; its first 48 bits are milliseconds."""
    return (id_.int >> 80) / 1000
