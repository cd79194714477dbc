"""How many requests a second each caller may send; off unless set.

With Redis all workers and replicas share one count, leased in small parts so that few requests wait
for a round trip. Without it, or while it is away, each worker keeps its own part of the limit:
a limit guards us from load, so its store must not be able to stop payments.
"""

import asyncio
from typing import Any, Final

from gateway.domain.clock import Clock

# For all of it: a connection, a password, the question and its answer.
REDIS_TIMEOUT_S: Final = 0.05
AWAY_S: Final = 1.0
LEASES_A_SECOND: Final = 20
_KEY_MS: Final = 2_000


class _Lease:
    """What a caller may still send in one second; `spent` once there is no more to be leased."""

    __slots__ = ("asking", "caller", "left", "second", "spent")

    def __init__(self, caller: int) -> None:
        self.caller = caller
        self.second = -1
        self.left = 0
        self.spent = False
        self.asking = asyncio.Lock()


class RateLimit:
    """At most `per_second` requests of one caller, over all `workers`."""

    def __init__(
        self, per_second: int, workers: int, clock: Clock, redis_url: str | None = None
    ) -> None:
        self.enabled = per_second > 0
        self._per_second = per_second
        self._own_part = max(1, per_second // workers)
        self._lease_size = max(1, per_second // LEASES_A_SECOND)
        self._clock = clock
        self._leases: dict[int, _Lease] = {}
        self._away_until = 0.0
        self._redis: Any = None
        if self.enabled and redis_url is not None:
            self._redis = _connection(redis_url)

    def admits_now(self, caller: int) -> bool | None:
        """As `admits`; None, with nothing counted, where Redis has to be asked for more first."""
        lease = self._lease_of(caller)
        if lease.left <= 0:
            may_ask = self._redis is not None and not lease.spent and not self._is_away()
            return None if may_ask else False
        lease.left -= 1
        return True

    async def admits(self, caller: int) -> bool:
        """Whether this request is within the caller's limit; counts it if so."""
        while (admitted := self.admits_now(caller)) is None:
            await self._lease_more(self._leases[caller])
        return admitted

    async def _lease_more(self, lease: _Lease) -> None:
        """One request of a burst asks, and the others go by what it was given."""
        async with lease.asking:
            second = lease.second
            if lease.left > 0 or lease.spent or self._is_away():
                return
            given = await self._leased(lease.caller, second)
            if lease.second == second:
                lease.left += given
                lease.spent = given <= 0

    def _lease_of(self, caller: int) -> _Lease:
        second = int(self._clock.now().timestamp())
        lease = self._leases.get(caller)
        if lease is None:
            lease = self._leases[caller] = _Lease(caller)
        if lease.second != second:
            lease.second, lease.left, lease.spent = second, 0, False
            if self._redis is None or self._is_away():
                lease.left = self._own_part
        return lease

    async def close(self) -> None:
        """Lets go of Redis."""
        if self._redis is not None:
            await self._redis.aclose()

    async def _leased(self, caller: int, second: int) -> int:
        from redis.exceptions import RedisError

        key = f"kopeck:rate:{caller}:{second}"
        try:
            async with (
                asyncio.timeout(REDIS_TIMEOUT_S),
                self._redis.pipeline(transaction=False) as pipeline,
            ):
                pipeline.incrby(key, self._lease_size)
                pipeline.pexpire(key, _KEY_MS)
                taken, _ = await pipeline.execute()
        except (RedisError, OSError, TimeoutError):
            self._away_until = asyncio.get_running_loop().time() + AWAY_S
            return self._own_part
        return max(0, min(self._lease_size, self._per_second - (int(taken) - self._lease_size)))

    def _is_away(self) -> bool:
        return asyncio.get_running_loop().time() < self._away_until


def _connection(url: str) -> Any:
    # Imported where Redis is used alone: it brings OpenTelemetry in wherever that is installed.
    from redis import asyncio as redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )
