"""The load generator: HTTP/1.1 over kept-open connections, in a process of its own.

Closed loop, each connection sends its next request when the answer to the last one has come; open
loop, requests leave when they are due (`arrivals`). Requests are bytes made beforehand and answers
are only searched, so that the generator takes little of the machine.

`load` is what other programs call; `python -m loadtests.http_load` is the process it starts.
"""

import gc
import math
import struct
import subprocess
import sys
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from loadtests.wire import ANSWER_S, Expected, Load

ROOT = Path(__file__).resolve().parents[1]
MARKS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
_LENGTH = struct.Struct("<I")


class Plan(msgspec.Struct, frozen=True):
    """What to do with the requests.

    `status` and `times` × `token` are expected of every answer; one of status `refusal` with
    `refusal_token` in it is counted apart, and its connection rests for `rest_s` to twice that
    (open loop). There, too, connections become free by chance within the first `enter_s`.
    Requests are sent `rounds` times, but after `seconds` no more is.
    """

    port: int
    connections: int
    seconds: float
    status: int
    token: str
    times: int = 1
    rounds: int = 1
    refusal: int = 0
    refusal_token: str = ""
    rest_s: float = 0.0
    enter_s: float = 0.0


class Outcome(msgspec.Struct, frozen=True):
    """What came of a load. Latencies are in milliseconds.

    `latency_ms` is of good answers, from when a request was sent or (open loop) was due; what was
    due and never sent, `unsent` in number, is in it with the time it waited for nothing.
    `refusal_ms` is from sending. `lag_ms` is how late the generator itself sent what was due.
    """

    answers: int
    refusals: int
    unsent: int
    failures: int
    first_failure: str
    seconds: float
    cpu_seconds: float
    latency_ms: dict[str, float]
    refusal_ms: dict[str, float]
    lag_ms: dict[str, float]
    histogram: list[tuple[float, int]]

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return self.answers / self.seconds if self.seconds > 0 else 0.0


class LoadFailed(Exception):
    """Answers were not as expected; the message says of the first one."""


def load(plan: Plan, requests: Sequence[bytes], arrivals: Sequence[float] = ()) -> Outcome:
    """Send the requests by a process of its own; LoadFailed where an answer is not as expected.

    `arrivals` are seconds from the start, ascending, one for each request: an open loop.
    """
    outcome = try_load(plan, requests, arrivals)
    if outcome.failures or not outcome.answers + outcome.refusals:
        raise LoadFailed(
            f"Expected {plan.status} to every request, was {outcome.failures} others and "
            f"{outcome.answers} good: {outcome.first_failure}"
        )
    return outcome


def try_load(plan: Plan, requests: Sequence[bytes], arrivals: Sequence[float] = ()) -> Outcome:
    """As `load`; failures are counted, not raised."""
    told = [msgspec.json.encode(plan), array("d", arrivals).tobytes(), *requests]
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


def _load(plan: Plan, requests: Sequence[bytes], arrivals: Sequence[float]) -> Outcome:
    expected = Expected(plan.status, plan.token, plan.times, (plan.refusal, plan.refusal_token))
    sent = Load(
        plan.port,
        plan.connections,
        expected,
        requests,
        plan.rounds,
        arrivals,
        plan.rest_s,
        plan.enter_s,
    )
    seconds, cpu_seconds = sent.run(plan.seconds)
    ordered = _milliseconds(sent.latencies)
    return Outcome(
        answers=len(ordered) - sent.unsent,
        refusals=len(sent.refusals),
        unsent=sent.unsent,
        failures=sent.failures,
        first_failure=sent.first_failure,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        latency_ms=_marks(ordered),
        refusal_ms=_marks(_milliseconds(sent.refusals)),
        lag_ms=_marks(_milliseconds(sent.lags)),
        histogram=histogram(ordered),
    )


def _milliseconds(seconds: Iterable[float]) -> list[float]:
    return sorted(value * 1000 for value in seconds)


def _marks(ordered: Sequence[float]) -> dict[str, float]:
    return {name: round(percentile(ordered, percent), 3) for name, percent in MARKS.items()}


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
    told, due, *requests = _read(sys.stdin.buffer)
    gc.disable()
    arrivals = array("d")
    arrivals.frombytes(due)
    outcome = _load(msgspec.json.decode(told, type=Plan), requests, arrivals)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
