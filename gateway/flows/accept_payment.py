"""Accepting payments: requests are queued, committed in groups, and then answered.

A whole group takes this road in one database transaction; nobody is answered before its commit.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Protocol

from gateway.domain.payment import PaymentRequest, Receipt
from gateway.domain.refusals import Unavailable
from gateway.flows.commit_group import (
    SMALL_GROUP_STATEMENTS,
    AnswerWriter,
    CommitGroup,
    Outcome,
    SplitObserver,
)
from gateway.flows.context import Context
from gateway.flows.open_tokens import TokenOpener
from gateway.flows.patience import pauses
from gateway.journal.db_transaction import moving_money, plan_by_index, writing
from gateway.journal.group_commit import Accumulator, Committer, commit_apart
from gateway.journal.sent import send_as_bytes
from gateway.journal.store import NotAsItWas
from gateway.storage.lease import Lease
from gateway.storage.postgres import to_be_found_out
from gateway.storage.prepared import Prepared

# A statement of its own for a group costs less than the long way's five, but more for each payment.
AT_ONCE_MAX: Final = 100
# How many groups go the long way after one that met another's payments, or leave out keys that were
# used before after one that met those.
LONG_WAY_GROUPS: Final = 16
# How many payments may wait for their tokens to be opened: a tenth of a second's work.
TOKENS_WAITING_MAX: Final = 256


class IntakeObserver(SplitObserver, Protocol):
    """Who is told of each group's size and times (the metrics)."""

    def group(self, size: int, seconds: float) -> None:
        """A group of `size` payments took `seconds` from its first statement to its commit."""


class Intake:
    """The one door to acceptance: queues requests, and commits them in groups."""

    # asyncpg tells nobody of the statements that are kept prepared.
    keeps_prepared: ClassVar = True

    def __init__(
        self, context: Context, observe: IntakeObserver, write: AnswerWriter | None = None
    ) -> None:
        """`write` makes the body of an answer, for small groups while they are committed."""
        self._write = write
        self._context = context
        self._observe = observe
        settings = context.settings
        self._accumulator: Accumulator[PaymentRequest, Receipt] = Accumulator(
            settings.queue_max, settings.group_size_max, settings.linger_ms / 1000
        )
        self.bunch_max = settings.group_size_max
        self._lanes = settings.commit_lanes
        self._committers: list[asyncio.Task[None]] = []
        self._kept: list[tuple[Lease, Any]] = []
        self._long_way = 0
        self._repeats = 0
        self._tokens = TokenOpener(context)
        self._opening: set[asyncio.Task[Receipt]] = set()

    async def start(self) -> None:
        """Begin to commit what is queued.

        One committer takes whatever there is. The others help only where so much waits that groups
        do not become smaller by it: a group that is written while another is split keeps both the
        worker and the database busy, which streams gain by and single payments would lose by.
        """
        accumulator = self._accumulator
        takes = [accumulator.take] + [accumulator.take_heap] * (self._lanes - 1)
        self._committers = [
            asyncio.create_task(Committer(take, self._commit).run(), name=f"committer {lane}")
            for lane, take in enumerate(takes)
        ]

    async def drain(self) -> None:
        """Take no more, and finish what was taken."""
        await asyncio.gather(*self._opening, return_exceptions=True)
        self._accumulator.close()
        await asyncio.gather(*self._committers, return_exceptions=True)
        while self._kept:
            lease, _ = self._kept.pop()
            await lease.give_back()
        self._accumulator.fail_all(Unavailable("unavailable", "This process is stopping"))

    @property
    def waiting(self) -> int:
        """How many payments wait for their commit group."""
        return len(self._accumulator)

    async def accept(self, request: PaymentRequest) -> Receipt:
        """The receipt of a payment that is now durable, or was before under the same key.

        Refuses with the split's codes, `idempotency_key_reused`, or `overloaded` at a full queue.
        """
        return await self.enqueue(request)

    def enqueue(self, request: PaymentRequest) -> asyncio.Future[Receipt]:
        """The future of `accept`, queued at once; refuses `overloaded` at a full queue."""
        if request.token is not None:
            return self._enqueue_opened(request)
        return self._accumulator.add(request)

    def enqueue_telling(
        self, request: PaymentRequest, tell: Callable[[Receipt | Exception], None]
    ) -> None:
        """The same for a payment without a token, without a future: `tell` is called with the
        receipt, or why there is none.
        """
        self._accumulator.add_telling(request, tell)

    def _enqueue_opened(self, request: PaymentRequest) -> asyncio.Future[Receipt]:
        """The same, once its token is opened; refused before any of that work."""
        self._accumulator.check_room()
        if len(self._opening) >= TOKENS_WAITING_MAX:
            raise Unavailable("overloaded", "Too many tokens are waiting to be opened")

        async def accept() -> Receipt:
            opened = await self._tokens.opened(request)
            # The work is done: a queue that filled up meanwhile is waited for.
            (outcome,) = await (await self._accumulator.add_when_room([opened]))
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        task = asyncio.create_task(accept(), name="a payment whose token is to be opened")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return task

    async def submit(
        self, requests: Sequence[PaymentRequest]
    ) -> "asyncio.Future[Sequence[Outcome]]":
        """The future of what `accept` tells of each, for streams: a full queue is waited for.

        From one to `bunch_max` at once.
        """
        if any(request.token is not None for request in requests):
            requests = [await self._tokens.opened(request) for request in requests]
        return await self._accumulator.add_when_room(requests)

    async def _connection(self) -> tuple[Lease, Any]:
        """A connection that the committers keep between groups: to get one costs a lone payment
        as much as its split, its row and its answer together.
        """
        kept = self._kept.pop() if self._kept else None
        if kept is not None:
            if not kept[0].lost:
                return kept
            await kept[0].give_back()
        lease = self._context.connection()
        await lease.borrow()
        conn = lease.conn
        if self.keeps_prepared and self._context.settings.statement_cache_size:
            conn = Prepared(conn, SMALL_GROUP_STATEMENTS)
        try:
            await plan_by_index(conn)
            await send_as_bytes(conn)
        except BaseException:
            # Closed, so that whoever comes next takes another one in its place.
            lease.close()
            self._kept.append((lease, conn))
            raise
        return lease, conn

    async def _commit(self, requests: list[PaymentRequest]) -> Sequence[Outcome]:
        deadline = time.monotonic() + self._context.settings.commit_deadline_ms / 1000

        waits = pauses()

        async def again() -> bool:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(next(waits))
            return True

        return await commit_apart(requests, self._commit_group, to_be_found_out, again)

    async def _commit_group(self, requests: list[PaymentRequest]) -> Sequence[Outcome]:
        started = time.perf_counter()
        kept = lease, conn = await self._connection()
        try:
            outcomes = await self._committed_as_new(conn, requests)
            if outcomes is None:
                group = CommitGroup(self._context, requests, self._observe)
                async with writing(conn):
                    await group.write(conn)
                outcomes = await group.outcomes(conn)
        except Exception as failure:
            await lease.judge(failure)
            raise
        finally:
            self._kept.append(kept)
        lease.assert_sure()
        self._observe.group(len(requests), time.perf_counter() - started)
        return outcomes

    async def _committed_as_new(
        self, conn: Any, requests: list[PaymentRequest]
    ) -> Sequence[Outcome] | None:
        """The outcomes of a group that nobody came between; None for the long way.

        Where somebody did, the next groups are likely to meet others as well.
        """
        if self._long_way > 0:
            self._long_way -= 1
            return None
        if any(one.token is not None for one in requests):
            return None
        try:
            if len(requests) <= AT_ONCE_MAX:
                return await self._committed_at_once(conn, requests)
            group = CommitGroup(self._context, requests, self._observe)
            async with moving_money(conn):
                await group.write_new(conn)
            return await group.outcomes(conn)
        except NotAsItWas:
            self._long_way = LONG_WAY_GROUPS
            return None

    async def _committed_at_once(
        self, conn: Any, requests: list[PaymentRequest]
    ) -> Sequence[Outcome]:
        """The outcomes of a small group. Where a key was used before, others of these groups are
        likely to have such keys too: those are left out, which costs less than the long way.
        """
        if self._repeats == 0:
            try:
                group = CommitGroup(self._context, requests, self._observe, self._write)
                return await group.at_once(conn)
            except NotAsItWas:
                # Either for a key or for a bill; the next statement tells.
                pass
        else:
            self._repeats -= 1
        group = CommitGroup(self._context, requests, self._observe)
        outcomes = await group.at_once(conn, but_repeated=True)
        if group.has_repeated:
            self._repeats = LONG_WAY_GROUPS
        return outcomes
