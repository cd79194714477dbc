"""Payments a second over HTTP beside a constant, and the latency of one caller beside INSERT."""

import orjson

from loadtests import households, http_load
from loadtests.constant_server import constant_servers
from loadtests.gateway_process import Gateway
from loadtests.measure import Turns
from loadtests.peers import Peers, payment_rows
from loadtests.report import Figure, Goal, Row
from loadtests.scenario import CONNECTIONS, PER_SECOND_MAX, plan
from loadtests.stage import Stage

WARM_SECONDS = 1.0
# A constant is answered faster.
ROUNDS = 10
SECONDS = 5.0
ALONE = 1_000


def part(stage: Stage) -> list[Row]:
    """Throughput and percentiles of many connections."""
    return rows(stage.stocked(), stage.runs, stage.workers, SECONDS)


def alone_part(stage: Stage) -> list[Row]:
    """One connection, one payment at a time."""
    return [latency_row(stage.stocked(), stage.peers, stage.runs, ALONE)]


class HttpLoad:
    """One payment a request to the gateway, or the same requests to another port."""

    def __init__(self, gateway: Gateway, run: str) -> None:
        self._gateway = gateway
        self._run = run
        self._count = 0

    def requests(self, count: int) -> list[bytes]:
        """Requests that were never sent before, of payers that follow each other."""
        first, self._count = self._count, self._count + count
        bodies = households.payments(self._gateway.accounts, count, self._run, first)
        return households.single_requests(self._gateway.acquirer, bodies)

    def send(self, count: int, seconds: float, connections: int) -> http_load.Outcome:
        """The outcome of at most `count` payments within `seconds`."""
        return http_load.load(plan(self._gateway.port, seconds, connections), self.requests(count))

    def send_elsewhere(self, port: int, count: int, seconds: float) -> http_load.Outcome:
        """The same to a server that does not mind to see a payment again."""
        sending = plan(port, seconds, CONNECTIONS, rounds=ROUNDS)
        return http_load.load(sending, self.requests(count))


def an_answer(gateway: Gateway, run: str) -> bytes:
    """What the gateway says to a payment, for the constant to say."""
    body = next(households.payments(gateway.accounts, 1, run))
    del body["idempotency_key"]
    return orjson.dumps(gateway.send("POST", "/v1/payments", body, gateway.acquirer))


def rows(gateway: Gateway, runs: int, workers: int, seconds: float) -> list[Row]:
    """Throughput and percentiles of many connections."""
    load = HttpLoad(gateway, "http")
    count = int(seconds * PER_SECOND_MAX)
    outcomes: dict[str, list[http_load.Outcome]] = {"gateway": [], "constant": []}
    with constant_servers(workers, an_answer(gateway, "first")) as port:

        def pay() -> float:
            outcomes["gateway"].append(load.send(count, seconds, CONNECTIONS))
            return outcomes["gateway"][-1].per_second

        def ask_constant() -> float:
            outcomes["constant"].append(load.send_elsewhere(port, count, seconds))
            return outcomes["constant"][-1].per_second

        load.send(count, WARM_SECONDS, CONNECTIONS)
        load.send_elsewhere(port, count, WARM_SECONDS)
        turns = Turns(runs, pay, ask_constant)
    generator = _mean_cpu_us(outcomes["gateway"])
    throughput = Row(
        name="http_single",
        what="one payment a request, durable, 8 charges;"
        f" {workers} workers, {CONNECTIONS} connections",
        measured=Figure("payments/s", turns.measured),
        peer="aiohttp + uvloop, a constant to the same request",
        against=Figure("/s", turns.against),
        must=Goal(0.4, "higher"),
        aim=Goal(0.6, "higher"),
        note=f"generator {generator:.0f} µs a request",
        foreign_cores=turns.foreign_cores,
    )
    hot_road = Row(
        name="http_single_hot",
        what="the same by the hot road",
        measured=throughput.measured,
        peer="the same constant",
        against=throughput.against,
        aim=Goal(1.0, "higher"),
        foreign_cores=turns.foreign_cores,
    )
    percentiles = [
        Row(
            name=f"http_single_{mark}",
            what=f"{mark} of the same, at saturation",
            measured=Figure("ms", [o.latency_ms[mark] for o in outcomes["gateway"]]),
            peer="the constant",
            against=Figure("ms", [o.latency_ms[mark] for o in outcomes["constant"]]),
            foreign_cores=turns.foreign_cores,
        )
        for mark in ("p50", "p99")
    ]
    return [throughput, hot_road, *percentiles]


def latency_row(gateway: Gateway, peers: Peers, runs: int, count: int) -> Row:
    """One connection that sends its next payment when the last one is durable."""
    load = HttpLoad(gateway, "alone")
    inserted = [payment_rows(count, f"one{run}") for run in range(runs)]
    load.send(100, 5.0, 1)
    turns = Turns(
        runs,
        lambda: load.send(count, 30.0, 1).latency_ms["p50"],
        lambda: peers.insert_one_by_one(inserted.pop())[count // 2] * 1000,
    )
    return Row(
        name="http_alone",
        what="one connection, one payment at a time, p50",
        measured=Figure("ms", turns.measured),
        peer="single-row INSERT and commit by asyncpg",
        against=Figure("ms", turns.against),
        must=Goal(3, "lower"),
        aim=Goal(2, "lower"),
        foreign_cores=turns.foreign_cores,
    )


def _mean_cpu_us(outcomes: list[http_load.Outcome]) -> float:
    answers = sum(outcome.answers for outcome in outcomes)
    return sum(outcome.cpu_seconds for outcome in outcomes) / answers * 1e6
