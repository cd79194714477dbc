"""The only place that reads the time of day; everyone else is given a Clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; tests and simulations have their own."""

    def now(self) -> datetime:
        """An aware moment in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def nanoseconds() -> int:
    """Nanoseconds since 1970, as collectors of traces count."""
    return time.time_ns()


class Timestamps:
    """Now as UTC text with microseconds, for lines of a log: 2026-11-24T16:59:36.063719Z."""

    __slots__ = ("_second", "_second_told")

    def __init__(self) -> None:
        self._second = -1
        self._second_told = b""

    def __call__(self) -> bytes:
        micros = time.time_ns() // 1_000
        second = micros // 1_000_000
        if second != self._second:
            self._second = second
            self._second_told = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%06dZ" % (self._second_told, micros % 1_000_000)
