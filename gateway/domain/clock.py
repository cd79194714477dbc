"""The only place that reads the time of day; everyone else is given a Clock."""

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
