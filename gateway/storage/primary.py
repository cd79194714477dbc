"""Which of several servers writes: a URL may name the members of a cluster, one of which is it.

Hosts are asked in a staggered race, for one that a dead machine stands for answers nobody: waiting
it out would take longer than a payer may wait. Who is told what becomes of a lost primary is
elsewhere (`postgres.py`, `lease.py`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

# How long one host may keep silent before the next is asked as well.
STAGGER_S = 0.3
WRITES = "read-write"
_TARGET = "target_session_attrs"

Open = Callable[..., Coroutine[Any, Any, Any]]


def hosts(url: str) -> list[str]:
    """The URL of each host that `url` names, in its order; of one host, the URL as it is.

    Raises ValueError where there are several hosts and another number of ports.
    """
    parts = urlsplit(url)
    user, at, places = parts.netloc.rpartition("@")
    if "," in places:
        return [parts._replace(netloc=f"{user}{at}{place}").geturl() for place in places.split(",")]
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    names = query.get("host", "").split(",")
    if len(names) == 1:
        return [url]
    ports = query.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(names)
    if len(ports) != len(names):
        raise ValueError(f"Expected as many ports as hosts, was {len(ports)} for {len(names)}")
    return [
        parts._replace(query=urlencode({**query, "host": name, "port": port})).geturl()
        if port
        else parts._replace(query=urlencode({**query, "host": name})).geturl()
        for name, port in zip(names, ports, strict=True)
    ]


def for_libpq(url: str) -> str:
    """The URL for PostgreSQL's own programs: of several hosts they take the primary as well."""
    parts = urlsplit(url)
    if len(hosts(url)) == 1 or _says_which(url):
        return url
    asked = f"{_TARGET}=primary"
    return parts._replace(query=f"{parts.query}&{asked}" if parts.query else asked).geturl()


def _says_which(url: str) -> bool:
    """Whether the URL itself says which hosts will do."""
    return _TARGET in dict(parse_qsl(urlsplit(url).query))


class Primary:
    """Opens connections to whichever host of a URL writes; the last that did is asked first.

    Called as `asyncpg.connect` is, which a pool does.
    """

    def __init__(self, connect: Open = asyncpg.connect) -> None:
        self._connect = connect
        self._last: str | None = None

    async def __call__(self, url: str, **settings: Any) -> Any:
        """A connection; raises what the hosts answered, TargetServerAttributeNotMatched where none
        of them writes.
        """
        known = hosts(url)
        known.sort(key=lambda host: host != self._last)
        if not _says_which(url):
            settings[_TARGET] = WRITES
        if len(known) == 1:
            return await self._connect(url, **settings)
        failures: list[BaseException] = []
        running: dict[asyncio.Task[Any], str] = {}
        try:
            while known or running:
                if known:
                    host = known.pop(0)
                    running[asyncio.create_task(self._connect(host, **settings))] = host
                done, _ = await asyncio.wait(
                    running,
                    timeout=STAGGER_S if known else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                # In the order they were asked in: should two write, the one that did stays.
                for task in [one for one in running if one in done]:
                    if task.exception() is None:
                        self._last = running.pop(task)
                        return task.result()
                    failures.append(task.exception() or RuntimeError())
                    del running[task]
            raise _most_telling(failures)
        finally:
            await _abandon(running)


def _most_telling(failures: list[BaseException]) -> BaseException:
    """What a server said, rather than that another was not there or does not write."""
    dull = (OSError, asyncpg.InternalClientError, asyncpg.CannotConnectNowError)
    for failure in failures:
        if not isinstance(failure, dull):
            return failure
    return failures[-1]


async def _abandon(running: dict["asyncio.Task[Any]", str]) -> None:
    """No connection that lost the race is left open."""
    for task in running:
        task.cancel()
    for late in await asyncio.gather(*running, return_exceptions=True):
        if not isinstance(late, BaseException):
            late.terminate()
