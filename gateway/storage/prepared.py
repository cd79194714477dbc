"""A connection that whoever has it for long asks the same few things, each prepared once.

asyncpg looks a statement up anew for every question, under the pool's guard: a fifth of what a
question costs a worker. Everything else is asked of the connection itself.
"""

from typing import Any, Final

import asyncpg

# The statement was prepared for what tables and types were before a migration.
_STALE: Final = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)


class Prepared:
    """Answers `fetch` and `fetchval` of the statements named to it by what it prepared before; all
    else is the connection's.
    """

    def __init__(self, conn: Any, statements: frozenset[str]) -> None:
        self._conn = conn
        self._statements = statements
        self._ready: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """The rows of a statement, as asyncpg's connection has it."""
        ready = self._ready.get(query) or await self._prepare(query)
        if ready is None or options:
            return await self._conn.fetch(query, *args, **options)
        try:
            return await ready.fetch(*args)
        except _STALE:
            del self._ready[query]
            return await self._conn.fetch(query, *args)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """The first value of the first row, as asyncpg's connection has it."""
        ready = self._ready.get(query) or await self._prepare(query)
        if ready is None or options:
            return await self._conn.fetchval(query, *args, **options)
        try:
            return await ready.fetchval(*args)
        except _STALE:
            del self._ready[query]
            return await self._conn.fetchval(query, *args)

    async def _prepare(self, query: str) -> Any:
        if query not in self._statements:
            return None
        ready = self._ready[query] = await self._conn.prepare(query)
        return ready
