"""Group commit: an accumulator that gathers, and committers that make a group durable at a time.

Neither knows what it carries. A group is whatever arrived while the one before was committed,
up to a size; nobody is answered before its group's outcome. Whoever was answered together tends to
come back together, so a group lingers a moment for as many as the one before it had, and never
for company that a lone caller does not have.
"""

import asyncio
import contextlib
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

from gateway.domain.refusals import InvariantBroken, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
Outcomes = Sequence[Result | Exception]
# How many are told of their outcomes within one turn of the loop.
HANDED_OUT_AT_ONCE: Final = 32
# Items that came together, who is told what becomes of them, and whether that is of one item alone:
# then it is the item's outcome itself, else the outcomes of all.
Parcel = tuple[Sequence[Item], Callable[[Any], None], bool]


class Accumulator(Generic[Item, Result]):
    """A bounded queue of items, alone or in bunches, each with whom to tell its outcome."""

    def __init__(self, queue_max: int, group_size_max: int, linger_s: float = 0.0) -> None:
        self._queue: deque[Parcel[Item]] = deque()
        self._waiting = 0
        self._queue_max = queue_max
        self._group_size_max = group_size_max
        self._heap = max(2, group_size_max // 2)
        # Streams keep two groups waiting and no more: who pays alone waits behind what they send.
        self._stream_max = min(queue_max, 2 * group_size_max)
        self._linger_s = linger_s
        self._expected = 1
        self._filled = asyncio.Event()
        self._heaped = asyncio.Event()
        # Nobody needs to wait for more company: all that are expected are there, a stream is, or no
        # more will come.
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    def __len__(self) -> int:
        return self._waiting

    def add(self, item: Item) -> "asyncio.Future[Result]":
        """The future of the item's outcome; refuses `overloaded` where the queue is full."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.add_telling(item, partial(_settle, future))
        return future

    def add_telling(self, item: Item, tell: Callable[[Result | Exception], None]) -> None:
        """The same, but `tell` is called with the outcome as soon as it is there: for whoever has
        so many items that a future for each, and the turn of the loop it takes, would show.
        """
        if self._waiting >= self._queue_max:
            self.check_room()
        self._append((item,), tell, True)

    def check_room(self) -> None:
        """Refuses `overloaded` where the queue is full."""
        if self._waiting >= self._queue_max and not self._closed:
            raise Unavailable("overloaded", "Too many payments are waiting to be made durable")

    async def add_when_room(self, items: Sequence[Item]) -> "asyncio.Future[Outcomes[Result]]":
        """The future of all the items' outcomes, which is never an exception itself; for streams
        that can wait for room instead of being refused. At most a group's size of items.
        """
        if len(items) > self._group_size_max:
            raise InvariantBroken("Expected no more items together than a group may have")
        while self._waiting and self._waiting + len(items) > self._stream_max and not self._closed:
            self._room.clear()
            await self._room.wait()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._append(items, partial(_settle, future), False)
        return future

    def _append(self, items: Sequence[Item], tell: Callable[[Any], None], alone: bool) -> None:
        if self._closed:
            raise Unavailable("unavailable", "This process is stopping")
        self._queue.append((items, tell, alone))
        waiting = self._waiting = self._waiting + len(items)
        self._filled.set()
        if waiting >= self._expected or not alone:
            self._enough.set()
        if waiting >= self._heap:
            self._heaped.set()

    async def take(self) -> list[Parcel[Item]]:
        """The next group, oldest first; empty only once closed and emptied."""
        while True:
            while not self._queue:
                if self._closed:
                    return []
                self._filled.clear()
                await self._filled.wait()
            if self._linger_s and not self._enough.is_set():
                await self._linger()
            # Another committer may have taken everything meanwhile.
            if self._queue:
                return self._next_group()

    async def take_heap(self) -> list[Parcel[Item]]:
        """As `take`, once so many wait that they are a good group by themselves; nothing when
        closed. For whoever helps the committer that takes what there is.
        """
        while self._waiting < self._heap and not self._closed:
            self._heaped.clear()
            await self._heaped.wait()
        return [] if self._closed else self._next_group()

    async def _linger(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._linger_s):
                await self._enough.wait()

    def _next_group(self) -> list[Parcel[Item]]:
        group: list[Parcel[Item]] = []
        size = 0
        callers = 0
        queue = self._queue
        while queue and (not group or size + len(queue[0][0]) <= self._group_size_max):
            parcel = queue.popleft()
            size += len(parcel[0])
            callers += parcel[2]
            group.append(parcel)
        self._waiting -= size
        self._expected = max(1, callers)
        if self._waiting < self._expected and not self._closed:
            self._enough.clear()
        self._room.set()
        return group

    def close(self) -> None:
        """Take no more items; what is queued is still handed out."""
        self._closed = True
        for event in (self._filled, self._heaped, self._enough, self._room):
            event.set()

    def fail_all(self, error: Exception) -> None:
        """Give every queued item this outcome."""
        while self._queue:
            parcel = self._queue.popleft()
            _hand_out([parcel], [copy.copy(error) for _ in parcel[0]])
        self._waiting = 0


def _hand_out(group: Sequence[Parcel[Item]], outcomes: Outcomes[Result], at: int = 0) -> int:
    """Tell everybody of a group what became of it; the outcomes begin at `at`.

    Returns where those end. Whoever fails to hear it is no reason not to tell the others.
    """
    for items, tell, alone in group:
        start, at = at, at + len(items)
        try:
            tell(outcomes[start] if alone else outcomes[start:at])
        except Exception as failure:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "Whoever was told an outcome failed", "exception": failure}
            )
    return at


def _settle(future: "asyncio.Future[Any]", outcome: object) -> None:
    """What a future is told by, unless whoever waited for it has left."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


class Committer(Generic[Item, Result]):
    """Takes groups from an accumulator for as long as it is open, and commits them one by one."""

    def __init__(
        self,
        take: Callable[[], Awaitable[list[Parcel[Item]]]],
        commit: Callable[[list[Item]], Awaitable[Outcomes[Result]]],
    ) -> None:
        self._take = take
        self._commit = commit

    async def run(self) -> None:
        """Commit until there is nothing to take any more."""
        while group := await self._take():
            items = [item for parcel, _, _ in group for item in parcel]
            outcomes = await self._outcomes(items)
            at = 0
            for first in range(0, len(group), HANDED_OUT_AT_ONCE):
                if first:
                    # Whoever is told writes an answer: others are read in between.
                    await asyncio.sleep(0)
                told = group[first : first + HANDED_OUT_AT_ONCE]
                at = _hand_out(told, outcomes, at)

    async def _outcomes(self, items: list[Item]) -> Outcomes[Result]:
        try:
            outcomes = await self._commit(items)
            if len(outcomes) != len(items):
                raise InvariantBroken(f"Expected {len(items)} outcomes, was {len(outcomes)}")
        except Exception as error:
            return [copy.copy(error) for _ in items]
        return outcomes


async def commit_apart(
    items: list[Item],
    commit: Callable[[list[Item]], Awaitable[Outcomes[Result]]],
    to_be_found_out: Callable[[Exception], bool],
    again: Callable[[], Awaitable[bool]],
) -> Outcomes[Result]:
    """Commit a group so that one bad item does not sink its neighbours.

    An error that leaves the outcome unknown, or that will pass (`to_be_found_out`), is tried
    again with the same items for as long as `again` allows: `commit` finds by their keys what was
    already made durable. A definite error halves the group until the bad item stands alone.
    """
    while True:
        try:
            return await commit(items)
        except Exception as error:
            if to_be_found_out(error):
                if await again():
                    continue
                outcome = Unavailable(
                    "unavailable", "The outcome is unknown; send it again with the same key"
                )
                return [copy.copy(outcome) for _ in items]
            if len(items) == 1:
                return [error]
        middle = len(items) // 2
        first = await commit_apart(items[:middle], commit, to_be_found_out, again)
        second = await commit_apart(items[middle:], commit, to_be_found_out, again)
        return [*first, *second]
