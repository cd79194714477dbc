"""The connections of one worker: hot ones, aiohttp's, and the bound on all of them together."""

import asyncio
from contextlib import suppress
from typing import Any, Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.api.hot import HotConnection, HotRoad
from gateway.api.request import Connection, Request

# Turns of the loop within which aiohttp brings to the door what has come on a connection.
TURNS: Final = 4


class Server(web.Server):
    """Makes connections, at most `connections_max` of them at once; without a road only aiohttp's.

    What else is given are aiohttp's own settings.
    """

    def __init__(
        self, answer: Any, connections_max: int, road: HotRoad | None, **settings: Any
    ) -> None:
        super().__init__(answer, request_factory=self._request, **settings)
        self._connections_max = connections_max
        self._road = road
        self._hot: set[HotConnection] = set()
        self._none_hot = asyncio.Event()
        self._connection_settings = settings

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: Any,
    ) -> Request:
        return Request(message, payload, protocol, writer, task, self._loop)

    @property
    def hot_connections(self) -> int:
        """How many connections are on the hot road."""
        return len(self._hot)

    @property
    def empty(self) -> bool:
        """Whether there is no connection at all."""
        return not self._hot and not self._connections

    def __call__(self) -> Any:
        """The protocol of a new connection."""
        return self.cold() if self._road is None else HotConnection(self._road, self)

    def cold(self) -> Connection:
        """A connection of aiohttp's."""
        return Connection(self, loop=self._loop, **self._connection_settings)

    def connection_made(self, handler: web.RequestHandler, transport: Any) -> None:
        super().connection_made(handler, transport)
        if not self._has_room():
            transport.abort()

    def arrived(self, connection: HotConnection) -> bool:
        """A hot connection was made; whether there is room for it."""
        self._hot.add(connection)
        self._none_hot.clear()
        return self._has_room()

    def left(self, connection: HotConnection) -> None:
        """A hot connection ended, or is one of aiohttp's from now on."""
        self._hot.discard(connection)
        if not self._hot:
            self._none_hot.set()

    def _has_room(self) -> bool:
        return len(self._connections) + len(self._hot) <= self._connections_max

    async def close_idle(self) -> None:
        """Ends every connection that waits for its next request; returns once the others' began."""
        for hot in list(self._hot):
            hot.close_if_idle()
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.close_if_idle()
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Ends every connection; answers that are not taken yet may be for `timeout` seconds."""
        if self._road is not None:
            await self._road.close()
        for hot in list(self._hot):
            hot.close()
        if self._hot:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._none_hot.wait()
        for hot in list(self._hot):
            hot.abort()
        await super().shutdown(timeout)
