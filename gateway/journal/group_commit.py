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
from typing import Generic, TypeVar

from gateway.domain.refusals import InvariantBroken, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
Outcomes = Sequence[Result | Exception]


class Accumulator(Generic[Item, Result]):
    """A bounded queue of items, each with the future of its outcome."""

    def __init__(self, queue_max: int, group_size_max: int, linger_s: float = 0.0) -> None:
        self._queue: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._queue_max = queue_max
        self._group_size_max = group_size_max
        self._linger_s = linger_s
        self._expected = 1
        self._filled = asyncio.Event()
        # Nobody needs to wait for more company: all that are expected are there, or no more will
        # come.
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: Item) -> asyncio.Future[Result]:
        """The future of the item's outcome; refuses `overloaded` where the queue is full."""
        if self._closed:
            raise Unavailable("unavailable", "This process is stopping")
        if len(self._queue) >= self._queue_max:
            raise Unavailable("overloaded", "Too many payments are waiting to be made durable")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        self._filled.set()
        if len(self._queue) >= self._expected:
            self._enough.set()
        if len(self._queue) >= self._queue_max:
            self._room.clear()
        return future

    async def add_when_room(self, item: Item) -> asyncio.Future[Result]:
        """As `add`, waiting for a place instead of refusing; for streams that can wait."""
        while len(self._queue) >= self._queue_max and not self._closed:
            await self._room.wait()
        return self.add(item)

    async def take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
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

    async def _linger(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._linger_s):
                await self._enough.wait()

    def _next_group(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        size = min(len(self._queue), self._group_size_max)
        group = [self._queue.popleft() for _ in range(size)]
        self._expected = size
        if len(self._queue) < self._expected and not self._closed:
            self._enough.clear()
        if len(self._queue) < self._queue_max:
            self._room.set()
        return group

    def close(self) -> None:
        """Take no more items; what is queued is still handed out."""
        self._closed = True
        self._filled.set()
        self._enough.set()
        self._room.set()

    def fail_all(self, error: Exception) -> None:
        """Give every queued item this outcome."""
        while self._queue:
            _, future = self._queue.popleft()
            if not future.done():
                future.set_exception(copy.copy(error))


class Committer(Generic[Item, Result]):
    """Takes groups from an accumulator for as long as it is open, and commits them one by one."""

    def __init__(
        self,
        accumulator: Accumulator[Item, Result],
        commit: Callable[[list[Item]], Awaitable[Outcomes[Result]]],
    ) -> None:
        self._accumulator = accumulator
        self._commit = commit

    async def run(self) -> None:
        """Commit until the accumulator is closed and empty."""
        while group := await self._accumulator.take():
            outcomes = await self._outcomes([item for item, _ in group])
            for (_, future), outcome in zip(group, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

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
