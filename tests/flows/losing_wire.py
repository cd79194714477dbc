"""A wire to PostgreSQL that loses chosen commits: before they arrive, or only their answer.

It stands between the pool and the server's socket, so that nothing in the gateway knows of it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

# A group that commits by itself is known by the statement it was prepared as.
_COMMIT_THEMSELVES = (b"commit_group(", b"commit_one(", b"commit_but_repeated(")
# Simple queries of the wire protocol, as `conn.execute("COMMIT")` and asyncpg's own transactions
# send them.
_COMMITS = (b"Q\x00\x00\x00\x0bCOMMIT\x00", b"Q\x00\x00\x00\x0cCOMMIT;\x00")
_CHUNK = 65_536

LOST_BEFORE = "lost before it arrived"
LOST_AFTER = "done, and its answer lost"
SILENT_AFTER = "done, and never answered"


class LosingWire:
    """`fates` says what becomes of the next commits, in their order; None lets one through."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        (directory,) = parse_qs(parts.query)["host"]
        self._server = f"{directory}/.s.PGSQL.5432"
        self._socket = folder / ".s.PGSQL.5432"
        self.url = parts._replace(query=f"host={quote(str(folder))}").geturl()
        self.fates: Iterator[str | None] = iter(())
        self.commits = 0
        self.at_commit = asyncio.Event()
        self._wires: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["LosingWire"]:
        server = await asyncio.start_unix_server(self._accepted, self._socket)
        try:
            yield self
        finally:
            server.close()
            for wire in list(self._wires):
                wire.cancel()
            await asyncio.gather(*self._wires, return_exceptions=True)

    async def _accepted(self, near: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._wires.add(task)
        far, far_out = await asyncio.open_unix_connection(self._server)
        answers = asyncio.create_task(self._answers(far, out))
        try:
            await self._asks(near, far, far_out, answers)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            answers.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await answers
            out.close()
            far_out.close()
            self._wires.discard(task)

    async def _asks(
        self,
        near: asyncio.StreamReader,
        far: asyncio.StreamReader,
        far_out: asyncio.StreamWriter,
        answers: asyncio.Task[None],
    ) -> None:
        prepared: set[bytes] = set()
        while chunk := await near.read(_CHUNK):
            fate = None
            if chunk.startswith(b"P") and any(one in chunk for one in _COMMIT_THEMSELVES):
                prepared.add(chunk[5:].partition(b"\x00")[0])
            if chunk.endswith(_COMMITS) or (
                chunk.startswith(b"B") and any(name + b"\x00" in chunk for name in prepared)
            ):
                self.commits += 1
                fate = next(self.fates, None)
                self.at_commit.set()
            if fate == LOST_BEFORE:
                return
            if fate is None:
                far_out.write(chunk)
                continue
            answers.cancel()
            with suppress(asyncio.CancelledError):
                await answers
            far_out.write(chunk)
            told = await far.read(_CHUNK)
            assert told.startswith((b"C", b"2")), "Expected the server to have committed"
            assert told.endswith(b"Z\x00\x00\x00\x05I"), "Expected it to be done"
            if fate == LOST_AFTER:
                return

    async def _answers(self, far: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while chunk := await far.read(_CHUNK):
            out.write(chunk)
        out.close()
