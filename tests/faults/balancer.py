"""A balancer of connections for tests: each goes to the next gateway that lets it in.

It knows nothing of HTTP and repeats nothing: what a killed gateway had not answered is for the
caller to send again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

_READ_BYTES = 65_536
_CONNECT_S = 2.0


class Balancer:
    """Listens on `port`; `taken` counts the connections that each gateway was given."""

    def __init__(self, gateways: Sequence[tuple[str, int]]) -> None:
        self.port = 0
        self.taken: Counter[str] = Counter()
        self._gateways = list(gateways)
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Balancer"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            found = await self._open()
            if found is not None:
                await asyncio.gather(_copy(reader, found[1]), _copy(found[0], writer))
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the next gateway that takes one; each is asked once."""
        for _ in self._gateways:
            host, port = self._gateways[self._next % len(self._gateways)]
            self._next += 1
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CONNECT_S):
                    found = await asyncio.open_connection(host, port)
                self.taken[host] += 1
                return found
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes bytes on until either side ends, and then ends the other."""
    with suppress(OSError):
        while content := await reader.read(_READ_BYTES):
            writer.write(content)
            await writer.drain()
    writer.close()
