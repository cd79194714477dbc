"""The load generator: HTTP/1.1 over kept-open connections, in a process of its own.

Each connection sends its next request when the answer to the last one has come. Requests are bytes
made beforehand and answers are only searched, so that the generator takes little of the machine.
It speaks to the loopback address alone, and is bounded in requests and in time.

`load` is what other programs call; `python -m loadtests.http_load` is the process it starts.
"""

import asyncio
import gc
import math
import struct
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import msgspec
import uvloop

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
# Whoever waits longer for one answer has lost it.
ANSWER_S = 60.0
FAILURES_MAX = 100
_LENGTH = struct.Struct("<I")
_FIRST_SHOWN = 300


class Plan(msgspec.Struct, frozen=True):
    """What to do with the requests.

    `status` and `times` × `token` are expected of every answer. Requests are sent `rounds` times,
    but after `seconds` no more is.
    """

    port: int
    connections: int
    seconds: float
    status: int
    token: str
    times: int = 1
    rounds: int = 1


class Outcome(msgspec.Struct, frozen=True):
    """What came of a load. Latencies are in milliseconds, of good answers only."""

    answers: int
    failures: int
    first_failure: str
    seconds: float
    cpu_seconds: float
    latency_ms: dict[str, float]
    histogram: list[tuple[float, int]]

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds if self.seconds > 0 else 0.0


class LoadFailed(Exception):
    """Answers were not as expected; the message says of the first one."""


def load(plan: Plan, requests: Sequence[bytes]) -> Outcome:
    """Send the requests by a process of its own; LoadFailed where an answer is not as expected."""
    outcome = try_load(plan, requests)
    if outcome.failures or not outcome.answers:
        raise LoadFailed(
            f"Expected {plan.status} to every request, was {outcome.failures} others and "
            f"{outcome.answers} good: {outcome.first_failure}"
        )
    return outcome


def try_load(plan: Plan, requests: Sequence[bytes]) -> Outcome:
    """As `load`; failures are counted, not raised."""
    told = [msgspec.json.encode(plan), *requests]
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.http_load"],
        cwd=ROOT,
        input=b"".join(_LENGTH.pack(len(piece)) + piece for piece in told),
        stdout=subprocess.PIPE,
        check=True,
        timeout=plan.seconds + 2 * ANSWER_S,
    )
    return msgspec.json.decode(done.stdout, type=Outcome)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order; 0 of none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


class _Run:
    """What all connections share: the requests still to send, and what came back."""

    def __init__(self, plan: Plan, requests: Sequence[bytes]) -> None:
        self.plan = plan
        self.requests = chain.from_iterable(repeat(requests, plan.rounds))
        self.status = str(plan.status).encode()
        self.token = plan.token.encode()
        self.latencies = array("d")
        self.failures = 0
        self.first_failure = ""
        self.deadline = math.inf
        self.open = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next(self, now: float) -> bytes | None:
        """The next request, None where it is enough."""
        if now >= self.deadline or self.failures >= FAILURES_MAX:
            return None
        return next(self.requests, None)

    def failed(self, told: str) -> None:
        self.failures += 1
        self.first_failure = self.first_failure or told

    def closed(self) -> None:
        self.open -= 1
        if self.open == 0 and not self.done.done():
            self.done.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._answer = bytearray()
        self._sent_at = 0.0
        self._waiting = False
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._run.open += 1

    def send(self) -> None:
        """Send the next request, or close where there is none."""
        now = time.perf_counter()
        request = self._run.next(now)
        self._waiting = request is not None
        if request is None:
            self._transport.close()
            return
        self._sent_at = now
        self._transport.write(request)

    def data_received(self, piece: bytes) -> None:
        answer: bytes | bytearray = piece
        if self._answer:
            self._answer += piece
            answer = self._answer
        body_at = _whole(answer)
        if body_at == 0:
            if answer is piece:
                self._answer += piece
            return
        run = self._run
        if body_at < 0:
            run.failed("an answer without its length")
            self._waiting = False
            self._transport.close()
            return
        if answer[9:12] == run.status and _count(answer, body_at, run.token) == run.plan.times:
            run.latencies.append(time.perf_counter() - self._sent_at)
        else:
            run.failed(bytes(answer[:_FIRST_SHOWN]).decode(errors="replace"))
        self._answer = bytearray()
        self.send()

    def connection_lost(self, failure: Exception | None) -> None:
        if self._waiting:
            self._run.failed("a connection that was closed without an answer")
        self._run.closed()


def _whole(answer: bytes | bytearray) -> int:
    """Where the body of a whole answer begins; 0 while more is to come, -1 if it never is known."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return 0
    at = answer.find(b"Content-Length: ", 0, end)
    if at >= 0:
        length = int(answer[at + 16 : answer.find(b"\r\n", at)])
        return end + 4 if len(answer) >= end + 4 + length else 0
    if answer.find(b"Transfer-Encoding: chunked", 0, end) < 0:
        return -1
    # The last chunk is the only place of a body of JSON lines where these bytes can stand.
    return end + 4 if answer.endswith(b"\r\n0\r\n\r\n") else 0


def _count(answer: bytes | bytearray, body_at: int, token: bytes) -> int:
    if answer.find(b"Transfer-Encoding: chunked", 0, body_at) < 0:
        return answer.count(token, body_at)
    return unchunked(answer, body_at).count(token)


def unchunked(answer: bytes | bytearray, at: int) -> bytes:
    """The body of a chunked answer that begins at `at`."""
    pieces: list[bytes] = []
    while True:
        end = answer.index(b"\r\n", at)
        size = int(answer[at:end], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(bytes(answer[end + 2 : end + 2 + size]))
        at = end + 4 + size


async def _load(plan: Plan, requests: Sequence[bytes]) -> Outcome:
    run = _Run(plan, requests)
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(lambda: _Connection(run), HOST, plan.port))[1]
        for _ in range(plan.connections)
    ]
    cpu_before = time.process_time()
    started = time.perf_counter()
    run.deadline = started + plan.seconds
    for connection in connections:
        connection.send()
    try:
        await asyncio.wait_for(run.done, plan.seconds + ANSWER_S)
    except TimeoutError:
        run.failed(f"an answer that did not come within {ANSWER_S:g} s")
    seconds = time.perf_counter() - started
    ordered = sorted(latency * 1000 for latency in run.latencies)
    marks = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
    return Outcome(
        answers=len(ordered),
        failures=run.failures,
        first_failure=run.first_failure,
        seconds=seconds,
        cpu_seconds=time.process_time() - cpu_before,
        latency_ms={name: round(percentile(ordered, p), 3) for name, p in marks.items()},
        histogram=histogram(ordered),
    )


def histogram(ordered: Sequence[float]) -> list[tuple[float, int]]:
    """How many values were at most each bound, bounds growing by a quarter of their double."""
    counts: dict[int, int] = {}
    for value in ordered:
        step = math.ceil(4 * math.log2(max(value, 2**-10)))
        counts[step] = counts.get(step, 0) + 1
    return [(round(2 ** (step / 4), 4), counts[step]) for step in sorted(counts)]


def _read(stream: Any) -> list[bytes]:
    pieces: list[bytes] = []
    while head := stream.read(_LENGTH.size):
        (length,) = _LENGTH.unpack(head)
        pieces.append(stream.read(length))
    return pieces


def main() -> None:
    """Read the plan and the requests from stdin, write the outcome to stdout."""
    told, *requests = _read(sys.stdin.buffer)
    gc.disable()
    outcome = uvloop.run(_load(msgspec.json.decode(told, type=Plan), requests))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
