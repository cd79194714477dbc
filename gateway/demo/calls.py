"""HTTP as a bank or an operator speaks it: one key a caller, the status checked on every answer."""

import asyncio
import time
from typing import Any
from xml.etree import ElementTree

import aiohttp
import orjson

from gateway.demo.books import DemoFailed

CONNECTIONS = 32
_RESENDS_MAX = 8
_AGAIN = (429, 503)
_TIMEOUT = aiohttp.ClientTimeout(total=60)
_JSON = "application/json"


class Reply:
    """An answer: status, bytes, how long it took, and whether it was given before."""

    def __init__(self, status: int, content: bytes, replayed: bool, seconds: float) -> None:
        self.status = status
        self.content = content
        self.replayed = replayed
        self.seconds = seconds

    @property
    def json(self) -> Any:
        """The answer as JSON."""
        return orjson.loads(self.content)

    @property
    def code(self) -> str:
        """The code of a problem, empty in any other answer."""
        return self._member("code")

    @property
    def detail(self) -> str:
        """The sentence of a problem, empty in any other answer."""
        return self._member("detail")

    def _member(self, name: str) -> str:
        try:
            return str(self.json[name])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return ""


def session() -> aiohttp.ClientSession:
    """The connections that all callers of the demo share; for `async with`."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    return aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)


class Caller:
    """One system that calls the gateway with its key."""

    def __init__(self, session: aiohttp.ClientSession, url: str, name: str, secret: str) -> None:
        self.name = name
        self.url = url
        self._session = session
        self._bearer = f"Bearer {secret}"

    async def get(self, path: str, expect: int = 200) -> Reply:
        """GET; DemoFailed for another status than expected."""
        return await self._ask("GET", path, b"", {}, expect)

    async def put(self, path: str, body: object, expect: int = 200) -> Reply:
        """PUT of a JSON body."""
        headers = {"Content-Type": _JSON}
        return await self._ask("PUT", path, orjson.dumps(body), headers, expect)

    async def post(
        self,
        path: str,
        body: object | bytes,
        key: str | None = None,
        expect: int = 201,
        kind: str = _JSON,
    ) -> Reply:
        """POST of a JSON body, or of bytes as they are; `key` is the Idempotency-Key."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = {"Content-Type": kind}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await self._ask("POST", path, content, headers, expect)

    async def ask_biller(self, protocol: str, told: dict[str, str]) -> dict[str, str]:
        """The answer of a biller protocol, element by element; its path is untold, for its key."""
        url = f"{self.url}/{protocol}/{self._bearer.removeprefix('Bearer ')}"
        async with self._session.get(url, params=told) as response:
            content = await response.read()
        if response.status != 200:
            raise DemoFailed(f"Expected 200 from /{protocol} as {self.name}, was {response.status}")
        found = ElementTree.fromstring(content)  # noqa: S314  (our own gateway's)
        return {one.get("name", one.tag): one.text or "" for one in found.iter() if not len(one)}

    async def _ask(
        self, method: str, path: str, content: bytes, headers: dict[str, str], expect: int
    ) -> Reply:
        """Sends the same again when told to, as any bank may: the key makes that safe."""
        started = time.perf_counter()
        for _ in range(_RESENDS_MAX):
            reply, pause_s = await self._once(method, path, content, headers, started)
            if reply.status == expect:
                return reply
            if reply.status not in _AGAIN:
                break
            await asyncio.sleep(pause_s)
        else:
            reply, _ = await self._once(method, path, content, headers, started)
        if reply.status != expect:
            raise DemoFailed(
                f"Expected {expect} from {method} {path} as {self.name},"
                f" was {reply.status} {reply.code} {reply.detail}".rstrip()
            )
        return reply

    async def _once(
        self, method: str, path: str, content: bytes, headers: dict[str, str], started: float
    ) -> tuple[Reply, int]:
        """One answer, and how many seconds it asks to wait before the next try."""
        async with self._session.request(
            method,
            self.url + path,
            data=content or None,
            headers={"Authorization": self._bearer, **headers},
        ) as response:
            answer = await response.read()
            replayed = response.headers.get("Idempotency-Replayed") == "true"
            seconds = time.perf_counter() - started
            pause_s = int(response.headers.get("Retry-After", "1"))
            return Reply(response.status, answer, replayed, seconds), pause_s
