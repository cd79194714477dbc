"""A worker in this process on a database of the test's own, and callers of every role.

Requests go over real sockets; nothing of the door is replaced.
"""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import orjson
import pytest
import uvloop
from aiohttp import web

from gateway import app
from gateway.api.door import Door
from gateway.api.hot import HotRoad
from gateway.api.server import Server
from gateway.config import Settings
from gateway.telemetry import Telemetry

# A module whose ROADS are these runs each of its tests over either.
BOTH_ROADS = ("hot", "cold")
# A module whose LOOPS are these runs each of its tests on either: workers run on uvloop.
BOTH_LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
ROLES = ("acquirer", "operator", "approver", "auditor")

BIC = "040173604"
RECIPIENTS = {
    "heat": ("supplier", "2224123450", "40702810002000001234"),
    "waste": ("regional_operator", "2221234561", "40702810402000005678"),
    "uk": ("management_company", "2225098768", "40702810802000009012"),
}


@dataclass
class Answer:
    """What came back: status, head and body."""

    status: int
    headers: Any
    content: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.content)

    @property
    def code(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json", self.content
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"] == f"urn:kopeck:problem:{problem['code']}"
        assert problem["title"]
        assert problem["detail"]
        return str(problem["code"])


@dataclass
class Gateway:
    """A running worker: its server, its address, a session, and the secrets of its callers."""

    server: Server
    port: int
    session: aiohttp.ClientSession
    database_url: str
    secrets: dict[str, str] = field(default_factory=dict)
    keys: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def door(self) -> Door:
        """The door behind the server."""
        door = getattr(self.server.request_handler, "__self__", None)
        assert isinstance(door, Door)
        return door

    def key(self) -> str:
        """An idempotency key nobody used before."""
        self.keys += 1
        return f"key-{self.keys}"

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = None,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request; a body that is not bytes goes as JSON."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("Authorization", f"Bearer {self.secrets[role]}")
        if key is not None:
            sent["Idempotency-Key"] = key
        raw = body is None or isinstance(body, bytes | io.BytesIO)
        content = body if raw else orjson.dumps(body)
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, self.url + path, data=content, headers=sent
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def pay(
        self,
        body: Any,
        *,
        role: str = "acquirer",
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """POST /v1/payments under a key of its own unless one is given."""
        key = key or self.key()
        return await self.send("POST", "/v1/payments", body, role=role, key=key, headers=headers)


def settings_for(url: str, **changes: Any) -> Settings:
    """Small limits, so that tests reach them."""
    limits: dict[str, Any] = {
        "body_timeout_s": 1,
        "drain_s": 10,
        "pool_max": 4,
        "workers": 1,
        "keepalive_s": 2,
    }
    return Settings(database_url=url, **(limits | changes))


@asynccontextmanager
async def served(url: str, **changes: Any) -> AsyncIterator[Gateway]:
    """A worker that listens on a free port; `callers`: the first on its database makes them,
    `write` takes the lines of its requests, `slot` 0 does what one worker does for all.
    """
    callers, write = changes.pop("callers", True), changes.pop("write", None)
    slot = changes.pop("slot", 1)
    telemetry = Telemetry("0.0.0", "kernel")
    async with (
        app.open_context(settings_for(url, **changes), url) as context,
        app.running(context, telemetry, slot=slot, write=write) as runner,
    ):
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        server = runner.server
        assert isinstance(server, Server)
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            gateway = Gateway(server, port, session, url)
            if callers:
                await _add_callers(gateway)
            yield gateway


async def _add_callers(gateway: Gateway) -> None:
    conn = await asyncpg.connect(gateway.database_url)
    try:
        callers: list[tuple[str, str, str | None]] = [(role, role, None) for role in ROLES]
        callers += [("acquirer2", "acquirer", None), ("operator2", "operator", None)]
        callers += [(f"recipient:{id_}", "recipient", id_) for id_ in RECIPIENTS]
        for name, role, recipient in callers:
            secret = f"kp_test_{name}_0123456789"
            number = await conn.fetchval(
                "INSERT INTO callers (name, role, recipient) VALUES ($1, $2, $3) RETURNING number",
                name,
                role,
                recipient,
            )
            await conn.execute(
                "INSERT INTO api_keys (secret_sha256, caller) VALUES ($1, $2)",
                hashlib.sha256(secret.encode()).digest(),
                number,
            )
            gateway.secrets[name] = secret
    finally:
        await conn.close()


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """Asyncio's own loop but where a module asks for others."""
    module = getattr(item, "module", None)
    loops: dict[str, Any] = getattr(module, "LOOPS", {"asyncio": asyncio.new_event_loop})
    return loops


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both roads for the modules that ask for them, in tests that have a worker at all."""
    roads = getattr(metafunc.module, "ROADS", None)
    if roads is not None and "database_url" in metafunc.fixturenames:
        metafunc.parametrize("road", roads, indirect=True)


@pytest.fixture(autouse=True)
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The road that plain payments take in this test: the hot one, or aiohttp's like all else."""
    name: str = getattr(request, "param", "hot")
    if name == "cold":
        monkeypatch.setattr(app, "make_server", cold_server)
    return name


def cold_server(
    door: Door,
    settings: Settings,
    road: HotRoad | None,
    make: Callable[..., Server] = app.make_server,
) -> Server:
    """A server that has no hot road."""
    return make(door, settings, None)


@pytest.fixture
async def gateway(database_url: str) -> AsyncIterator[Gateway]:
    """A worker with callers and nothing else."""
    async with served(database_url) as running:
        yield running


@pytest.fixture
async def region(gateway: Gateway) -> Gateway:
    """A worker with three recipients and the bill of account 220012345."""
    for id_ in RECIPIENTS:
        answer = await gateway.send("PUT", f"/v1/recipients/{id_}", recipient(id_), role="operator")
        assert answer.status == 200, answer.content
    answer = await gateway.send(
        "POST", "/v1/bills", {"bills": [bill()]}, role="operator", key=gateway.key()
    )
    assert answer.json == {"accepted": 1, "refused": []}
    return gateway


async def until(holds: Callable[[], bool]) -> None:
    """Returns once it holds; TimeoutError where it does not come to that."""
    async with asyncio.timeout(15):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


def recipient(id_: str, **changes: Any) -> dict[str, Any]:
    """The body that registers one of RECIPIENTS."""
    kind, inn, account = RECIPIENTS[id_]
    body: dict[str, Any] = {
        "name": f"АО «{id_}»",
        "kind": kind,
        "inn": inn,
        "bank_account": {"bic": BIC, "number": account},
    }
    return body | changes


def bill(account: str = "220012345", **changes: Any) -> dict[str, Any]:
    """A bill of two services: heating 800.00, a twentieth of it the company's, and waste 400.00."""
    body: dict[str, Any] = {
        "subscriber_account": account,
        "period": "2026-10",
        "charges": [
            {
                "service": "heating",
                "recipient": "heat",
                "due": 80000,
                "second_level": [{"recipient": "uk", "ppm": 50000}],
            },
            {"service": "waste", "recipient": "waste", "due": 40000},
        ],
    }
    return body | changes


def payment(**changes: Any) -> dict[str, Any]:
    """A card payment of 1 000.00 to the account that has a bill."""
    body: dict[str, Any] = {
        "subscriber_account": "220012345",
        "amount": 100000,
        "currency": "RUB",
        "paid_at": "2026-11-12T09:31:07+07:00",
        "method": {"type": "card", "network": "visa", "masked_pan": "427644******1234"},
        "reference": "bank-op-778",
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}
