"""Ten times as many payers come as the gateway can take: what it takes and what it refuses.

Arrivals are open loop, over many connections. Whoever is refused heeds Retry-After and comes again
one to two seconds later; in a flood somebody else is on that connection at once, without end.
`Crowd` says over how many connections, and how many payments a worker may queue.
"""

from dataclasses import dataclass

TIMES = 10


@dataclass(frozen=True)
class Crowd:
    """`queue_max` None is the product's own; `rest_s` is how long the refused stay away, and
    `enter_s` within how long everybody has come once.
    """

    name: str
    what: str
    connections: int
    queue_max: int | None = None
    rest_s: float = 0.0
    enter_s: float = 0.0
    has_goals: bool = True

    @property
    def settings(self) -> dict[str, str]:
        if self.queue_max is None:
            return {}
        names = ("KOPECK_QUEUE_MAX", "KOPECK_GROUP_SIZE_MAX")
        return dict.fromkeys(names, str(self.queue_max))


# Ten times the connections of the ordinary day: all of them may wait, for a moment.
WAITING = Crowd("overload", "640 connections, settings as they come", 640)
# Ten times as many callers as the queues of two workers hold.
REFUSED = Crowd(
    "overload_refused",
    "5000 callers for a queue of 500, the refused heed Retry-After",
    5_000,
    queue_max=250,
    rest_s=1.0,
    enter_s=2.0,
)
# The same callers, all at one moment: the last of them wait until the machine has read the others,
# whoever it takes or refuses.
BURST = Crowd(
    "overload_burst",
    "the same 5000 callers, all of them at one moment",
    5_000,
    queue_max=250,
    rest_s=1.0,
    has_goals=False,
)
# Each of a thousand refused connections waits for the other 999 to be answered by the generator and
# the gateway, whatever either does: how late refusals are is of no meaning here.
FLOOD = Crowd(
    "overload_flood",
    "2000 connections for a queue of 1000, nobody stays away",
    2_000,
    500,
    has_goals=False,
)
