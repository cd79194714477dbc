"""What a scenario is: who pays whom, and how often; named by the shape of contention.

`Staged` is a scenario on a running gateway, loaded closed or open loop.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from loadtests import households, http_load
from loadtests.arrivals import Curve, arrivals, steady
from loadtests.gateway_process import Gateway

CONNECTIONS = 64
# Requests are made beforehand, more than are answered, so that time ends a run.
PER_SECOND_MAX = 30_000
REFUSED_PER_SECOND_MAX = 60_000
TAKEN = '"id":"pay_'
OVERLOADED = (503, '"code":"overloaded"')
# What is due just before the end may still be sent, and its wait counted.
SLACK_S = 5.0

Bill = dict[str, Any]


def as_they_come(requests: Sequence[bytes]) -> list[bytes]:
    """Every request once, in order."""
    return list(requests)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`accounts` households from number `first` on, who have the bills of `bills(count, first)`
    and pay one after another; `sent` says which requests leave, and in which order.
    """

    name: str
    what: str
    accounts: int
    first: int
    bills: Callable[[int, int], Iterator[Bill]]
    sent: Callable[[Sequence[bytes]], list[bytes]] = as_they_come


class Staged:
    """A scenario whose bills are loaded; no payment is ever sent by two of its loads.

    `run` keeps its keys apart from those of everybody else.
    """

    def __init__(self, gateway: Gateway, scenario: Scenario, run: str = "") -> None:
        self.scenario = scenario
        self._gateway = gateway
        self.run = run or f"{scenario.name}-{scenario.first}"
        self._count = 0
        bills = scenario.bills(scenario.accounts, scenario.first)
        lines = [orjson.dumps(bill, option=orjson.OPT_APPEND_NEWLINE) for bill in bills]
        gateway.load_bills_apart(b"".join(lines), scenario.accounts)

    def requests(self, count: int) -> list[bytes]:
        """Requests of `count` payments that were never made before."""
        first, self._count = self._count, self._count + count
        one = self.scenario
        bodies = households.payments(one.accounts, count, self.run, first, one.first)
        return one.sent(households.single_requests(self._gateway.acquirer, bodies))

    def closed(self, seconds: float, connections: int = CONNECTIONS) -> http_load.Outcome:
        """Every connection pays as often as it is answered: what the gateway can take."""
        requests = self.requests(int(seconds * PER_SECOND_MAX))
        return http_load.load(plan(self._gateway.port, seconds, connections), requests)

    def opened(
        self,
        per_second: float,
        seconds: float,
        connections: int = CONNECTIONS,
        curve: Curve = steady,
        seed: int = 1,
    ) -> http_load.Outcome:
        """Payers come as the curve says, `per_second` at its peak, whoever is late."""
        due = arrivals(per_second, seconds, curve, seed)
        sending = plan(self._gateway.port, seconds + SLACK_S, connections)
        return http_load.load(sending, self.requests(len(due)), due)

    def overloaded(
        self,
        per_second: float,
        seconds: float,
        connections: int,
        rest_s: float = 0.0,
        enter_s: float = 0.0,
    ) -> http_load.Outcome:
        """The same where refusals are expected; nobody waits longer than until the end.

        Whoever is refused comes again after `rest_s` to twice that; 0: somebody else comes at once.
        Callers come for the first time by chance within `enter_s`.
        """
        due = arrivals(per_second, seconds)
        sending = msgspec.structs.replace(
            plan(self._gateway.port, seconds, connections, refusal=OVERLOADED),
            rest_s=rest_s,
            enter_s=enter_s,
        )
        # Most of what is due never finds a free connection, and is not made.
        count = min(len(due), int(seconds * REFUSED_PER_SECOND_MAX))
        return http_load.load(sending, self.requests(count), due)


def plan(
    port: int,
    seconds: float,
    connections: int,
    rounds: int = 1,
    refusal: tuple[int, str] = (0, ""),
) -> http_load.Plan:
    """One payment a request, each to be answered by a payment."""
    return http_load.Plan(
        port=port,
        connections=connections,
        seconds=seconds,
        status=201,
        token=TAKEN,
        rounds=rounds,
        refusal=refusal[0],
        refusal_token=refusal[1],
    )
