"""A connection on loan from a pool, and what shows that it may not be used again.

After a failover a connection may lead to a server that only reads now, or to a machine that is not
there any more; and a commit may be told as done that no standby has. Whoever borrows is told of an
outcome that is to be found out, and whoever borrows next gets another connection.
"""

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

import asyncpg

from gateway.steps import WAIT_BOUNDS, Seconds

# The class of a warning; which words come with it depends on the server's language.
_WARNING = "01000"
_ANSWER_S = 1.0


class CommitInDoubt(ConnectionError):
    """The server warned while it committed: no standby may have what this server has."""


class Waits:
    """Who waits for a connection now; how long others did, and how many in vain."""

    def __init__(self) -> None:
        self.waiting = 0
        self.seconds = Seconds(WAIT_BOUNDS)
        self.in_vain = 0


class Lease:
    """One connection of a pool, for `async with`, or from `borrow` to `give_back`.

    TimeoutError where none is free for too long. CommitInDoubt on leaving where the server warned:
    PostgreSQL answers a commit whose wait for its standby somebody cancelled as it answers any
    other, with a warning before it. Nothing else that a gateway does is warned of.
    """

    def __init__(self, pool: Any, wait_s: float, waits: Waits | None = None) -> None:
        self._pool = pool
        self._waits = Waits() if waits is None else waits
        self._wait_s = wait_s
        self._warned = False
        self.conn: Any = None

    async def borrow(self) -> Any:
        """The connection, now ours."""
        self.conn = await self._free()
        self.conn.add_log_listener(self._hear)
        return self.conn

    async def _free(self) -> Any:
        waits = self._waits
        waits.waiting += 1
        began = time.perf_counter()
        try:
            return await self._pool.acquire(timeout=self._wait_s)
        except TimeoutError:
            waits.in_vain += 1
            raise
        finally:
            waits.waiting -= 1
            waits.seconds.add(time.perf_counter() - began)

    async def give_back(self) -> None:
        """The connection is the pool's again."""
        # One that is closed may be ours still, or in the pool's hands already.
        with suppress(asyncpg.InterfaceError):
            self.conn.remove_log_listener(self._hear)
        await self._pool.release(self.conn)

    @property
    def lost(self) -> bool:
        """Whether the connection is closed, by whomever."""
        try:
            closed: bool = self.conn.is_closed()
        except asyncpg.InterfaceError:
            # One that was closed is in the pool's hands at once.
            return True
        return closed

    async def judge(self, failure: BaseException) -> None:
        """Closes a connection that a failure has shown to be no good, as its server only reads or
        is gone without a word; then all others of the pool are opened anew as well.
        """
        if isinstance(failure, asyncpg.ReadOnlySQLTransactionError) or (
            isinstance(failure, TimeoutError) and not await self._answers()
        ):
            self.close()
            await self._pool.expire_connections()

    async def _answers(self) -> bool:
        """Whether the server still does, and has given up what timed out: a connection that is only
        closed would leave it waiting there, with its locks.
        """
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self.conn.execute("SELECT 1")
        except Exception:
            return False
        return True

    def close(self) -> None:
        """Closes the connection, so that whoever comes next takes another."""
        with suppress(asyncpg.InterfaceError):
            self.conn.terminate()

    def assert_sure(self) -> None:
        """Raises CommitInDoubt where the server warned of a commit."""
        if self._warned:
            raise CommitInDoubt("Expected a commit without a warning, was one in doubt")

    def _hear(self, conn: Any, message: Any) -> None:
        # Called before the answer that follows the warning is handed out.
        if message.sqlstate == _WARNING:
            self._warned = True
            self.close()

    async def __aenter__(self) -> Any:
        return await self.borrow()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if failure is not None:
                await self.judge(failure)
        finally:
            await self.give_back()
        if failure is None:
            self.assert_sure()
