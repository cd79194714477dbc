"""Ten times as many payers come as the gateway can take: what it takes and what it refuses.

Arrivals are open loop, over many connections; whoever is refused leaves, and somebody else is on
that connection at once. So the flood never lets up, which is worse than callers who heed
Retry-After. `Crowd` says over how many connections, and how many payments a worker may queue.
"""

from dataclasses import dataclass

TIMES = 10


@dataclass(frozen=True)
class Crowd:
    """`queue_max` None is the product's own."""

    name: str
    what: str
    connections: int
    queue_max: int | None = None

    @property
    def settings(self) -> dict[str, str]:
        return {} if self.queue_max is None else {"KOPECK_QUEUE_MAX": str(self.queue_max)}


# Ten times the connections of the ordinary day: all of them may wait, for a moment.
WAITING = Crowd("overload", "640 connections, settings as they come", 640)
# Two workers queue a thousand of two thousand, so that refusals never end.
REFUSED = Crowd("overload_refused", "2000 connections for a queue of 1000", 2_000, 500)
