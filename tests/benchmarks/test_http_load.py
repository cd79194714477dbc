"""The load generator counts what a tiny server says, and ends in time whatever that does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loadtests import http_load, wire
from loadtests.arrivals import arrivals
from loadtests.constant_server import constant_servers
from loadtests.households import request

GOOD = b'{"id":"pay_1"}'
REQUEST = request("/v1/payments", "kp_test", "", b"{}")

Say = Callable[[int], bytes]


def answer(content: bytes = GOOD, status: str = "201 Created") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def chunked(*pieces: bytes) -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed


class TinyServer:
    """Answers request number n (from 0, over all connections) with `say(n)`; b"" closes."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lock = threading.Lock()
        self.seen = 0
        self.connections = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            gathered = b""
            while piece := connection.recv(65536):
                gathered += piece
                while len(gathered) >= len(REQUEST):
                    assert gathered[: len(REQUEST)] == REQUEST
                    gathered = gathered[len(REQUEST) :]
                    with self._lock:
                        number, self.seen = self.seen, self.seen + 1
                    said = self._say(number)
                    if not said:
                        return
                    # In two pieces, so that an answer is put together from parts.
                    connection.sendall(said[:30])
                    connection.sendall(said[30:])


@contextmanager
def tiny_server(say: Say) -> Iterator[TinyServer]:
    server = TinyServer(say)
    accepting = threading.Thread(target=server.accept)
    accepting.start()
    try:
        yield server
    finally:
        server.listening.shutdown(socket.SHUT_RDWR)
        server.listening.close()
        accepting.join()


def plan(port: int, **changes: object) -> http_load.Plan:
    members = {"port": port, "connections": 3, "seconds": 20.0, "status": 201, "token": '"id"'}
    return http_load.Plan(**(members | changes))  # type: ignore[arg-type]


def test_every_request_is_sent_once_and_every_answer_counted() -> None:
    with tiny_server(lambda number: answer()) as server:
        outcome = http_load.load(plan(server.port), [REQUEST] * 200)
    assert (outcome.answers, outcome.failures) == (200, 0)
    assert (server.seen, server.connections) == (200, 3)
    assert sum(count for _, count in outcome.histogram) == 200
    assert 0 < outcome.latency_ms["p50"] <= outcome.latency_ms["p99"] <= outcome.latency_ms["max"]
    assert outcome.per_second == pytest.approx(200 / outcome.seconds)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (answer(b'{"code":"overloaded"}', "503 Service Unavailable"), "503"),
        (answer(b"{}"), "201 Created"),
        (answer(GOOD + GOOD), "201 Created"),
        (b"HTTP/1.1 201 Created\r\nServer: of-no-length\r\n\r\n{}", "without its length"),
        (b"", "closed without an answer"),
    ],
    ids=["status", "no id", "two ids", "no length", "closed"],
)
def test_an_answer_that_is_not_as_expected_is_a_failure(wrong: bytes, told: str) -> None:
    with tiny_server(lambda number: wrong if number == 7 else answer()) as server:
        outcome = http_load.try_load(plan(server.port), [REQUEST] * 60)
    assert (outcome.answers, outcome.failures) == (59, 1)
    assert told in outcome.first_failure
    with (
        tiny_server(lambda number: wrong) as server,
        pytest.raises(http_load.LoadFailed, match="Expected 201 to every request"),
    ):
        http_load.load(plan(server.port), [REQUEST])


def test_rounds_send_everything_again() -> None:
    with tiny_server(lambda number: answer()) as server:
        outcome = http_load.load(plan(server.port, rounds=4), [REQUEST] * 10)
    assert (outcome.answers, server.seen) == (40, 40)


def test_time_ends_a_load_before_its_requests_do() -> None:
    with tiny_server(lambda number: answer()) as server:
        outcome = http_load.load(plan(server.port, seconds=0.2), [REQUEST] * 500_000)
    assert outcome.failures == 0
    assert 0 < outcome.answers == server.seen < 500_000


def test_a_server_that_only_fails_ends_a_load() -> None:
    with tiny_server(lambda number: answer(b"{}")) as server:
        outcome = http_load.try_load(plan(server.port, connections=1), [REQUEST] * 5_000)
    assert (outcome.answers, outcome.failures) == (0, wire.FAILURES_MAX)
    assert server.seen == wire.FAILURES_MAX


def test_lines_of_a_chunked_answer_are_counted_across_chunks() -> None:
    lines = b'{"status":201}\n{"status":201}\n{"status":201}\n'
    with tiny_server(lambda number: chunked(lines[:9], lines[9:25], lines[25:])) as server:
        bulk = plan(server.port, connections=1, status=200, token='"status":201', times=3)
        outcome = http_load.load(bulk, [REQUEST] * 5)
    assert (outcome.answers, server.seen) == (5, 5)


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 5.0), (90, 9.0), (91, 10.0), (99, 10.0), (100, 10.0), (1, 1.0)]
)
def test_percentiles_are_values_that_were_measured(percent: float, expected: float) -> None:
    assert http_load.percentile([float(n) for n in range(1, 11)], percent) == expected


def test_histogram_holds_every_value_below_its_bound() -> None:
    values = [0.0, 0.5, 1.0, 1.01, 3.0, 700.0]
    found = http_load.histogram(values)
    assert sum(count for _, count in found) == len(values)
    for value in values:
        bound = min(bound for bound, _ in found if value <= bound * 1.0001)
        assert value <= bound * 1.0001 <= max(2 * value, 0.01)


def test_constant_servers_answer_the_same_request() -> None:
    with constant_servers(2, GOOD) as port:
        outcome = http_load.load(plan(port, connections=8), [REQUEST] * 400)
    assert (outcome.answers, outcome.failures) == (400, 0)


def test_open_loop_sends_what_is_due_and_no_more() -> None:
    with tiny_server(lambda number: answer()) as server:
        outcome = http_load.load(plan(server.port), [REQUEST] * 300, arrivals(1_000.0, 0.2))
    assert outcome.answers == server.seen == len(arrivals(1_000.0, 0.2))
    assert outcome.unsent == 0
    assert 0 <= outcome.lag_ms["p50"] <= outcome.lag_ms["max"]
    # The last of them came just before the end, and was not sent before it came.
    assert outcome.seconds > arrivals(1_000.0, 0.2)[-1]


def test_whoever_came_while_the_server_stalled_is_in_the_latencies() -> None:
    """Coordinated omission: the closed loop asks nobody who came meanwhile, the open loop all."""
    stall_s, count = 1.0, 600

    def stalling(number: int) -> bytes:
        if number == 100:
            threading.Event().wait(stall_s)
        return answer()

    with tiny_server(stalling) as server:
        one = plan(server.port, connections=1)
        closed = http_load.load(one, [REQUEST] * count)
    with tiny_server(stalling) as server:
        one = plan(server.port, connections=1)
        opened = http_load.load(one, [REQUEST] * count, arrivals(300.0, 2.0)[:count])
    half_ms = stall_s * 1000 / 2
    assert opened.answers > 100
    # Some 150 of 600 came in the first half of the stall, and waited for the other half at least.
    assert closed.latency_ms["p99"] < half_ms < opened.latency_ms["p90"] < opened.latency_ms["max"]
    assert closed.latency_ms["max"] > 2 * half_ms


def test_what_could_not_be_sent_has_waited_until_the_end() -> None:
    answered = threading.Event()

    def late(number: int) -> bytes:
        answered.wait(0.5)
        return answer()

    with tiny_server(late) as server:
        one = plan(server.port, connections=1, seconds=0.3)
        outcome = http_load.load(one, [REQUEST] * 30, [0.01 * at for at in range(30)])
    assert (outcome.answers, outcome.unsent, server.seen) == (1, 29, 1)
    assert sum(count for _, count in outcome.histogram) == 30
    assert outcome.latency_ms["max"] >= 300


def test_refusals_are_counted_apart_where_they_are_allowed() -> None:
    refused = answer(b'{"code":"overloaded"}', "503 Service Unavailable")
    wrong = answer(b'{"code":"unavailable"}', "503 Service Unavailable")

    def say(number: int) -> bytes:
        return wrong if number == 50 else refused if number % 2 else answer()

    with tiny_server(say) as server:
        allowed = plan(server.port, refusal=503, refusal_token='"code":"overloaded"')
        outcome = http_load.try_load(allowed, [REQUEST] * 100)
    assert (outcome.answers, outcome.refusals, outcome.failures) == (49, 50, 1)
    assert "unavailable" in outcome.first_failure
    assert 0 < outcome.refusal_ms["p50"] <= outcome.refusal_ms["max"]


def test_whoever_is_refused_stays_away_for_a_while() -> None:
    refused = answer(b'{"code":"overloaded"}', "503 Service Unavailable")
    moments = []

    def say(number: int) -> bytes:
        moments.append(time.perf_counter())
        return refused

    with tiny_server(say) as server:
        heeding = plan(
            server.port, connections=2, refusal=503, refusal_token="overloaded", rest_s=0.2
        )
        outcome = http_load.load(heeding, [REQUEST] * 5, [0.001 * at for at in range(5)])
    assert (outcome.refusals, outcome.unsent) == (5, 0)
    # Two at once, two after a rest, and the last after another one.
    assert moments[4] - moments[0] >= 0.4
    assert moments[2] - moments[1] >= 0.15


def test_callers_come_for_the_first_time_by_chance() -> None:
    with tiny_server(lambda number: answer()) as server:
        entering = plan(server.port, connections=1, enter_s=0.4)
        outcome = http_load.load(entering, [REQUEST] * 2, [0.0, 0.001])
    assert (outcome.answers, outcome.unsent) == (2, 0)
    # By this seed the only one comes after 54 ms, and whoever was due before has waited for that.
    assert outcome.latency_ms["max"] >= 50


def test_a_connection_that_is_closed_politely_is_opened_again() -> None:
    head = b"HTTP/1.1 201 Created\r\nContent-Length: 14\r\nConnection: close\r\n\r\n"
    with tiny_server(lambda number: head + GOOD if number == 10 else answer()) as server:
        outcome = http_load.load(plan(server.port), [REQUEST] * 100)
    assert (outcome.answers, outcome.failures, server.connections) == (100, 0, 4)
