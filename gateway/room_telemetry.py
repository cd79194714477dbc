"""Metrics of the rooms and machinery of one worker: steps, connections, queue, loop, log.

All of it is counted elsewhere in memory, and shown here once a second: nothing of this is in the
way of a payment. Each label is from the closed list of gateway/steps.py.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.steps import OUTCOMES, ROWS, STEP_BOUNDS, STEPS, WAIT_BOUNDS, Seconds, Steps

# Of this worker now; of all workers together where one answers for all.
_GAUGES: Final = {
    "pool_size": ("database_pool_connections", "Connections that workers have open."),
    "pool_idle": ("database_pool_idle", "Connections of the pools that nobody uses."),
    "pool_max": ("database_pool_max", "Connections that workers may open."),
    "pool_waiting": ("database_pool_waiting", "Who waits for a connection."),
    "queued": ("queue_payments", "Payments that wait for their commit group."),
    "queue_max": ("queue_max", "Payments that may wait before more are refused."),
    "in_flight": ("payments_in_flight", "Requests with payments that are being answered."),
}


class Machinery(Struct, frozen=True):
    """How a worker's machinery stands; lines of the log that were dropped since its start, and who
    waited for a connection in vain.
    """

    pool_size: int
    pool_idle: int
    pool_max: int
    pool_waiting: int
    queued: int
    queue_max: int
    in_flight: int
    dropped: int
    in_vain: int


class RoomTelemetry:
    """Shows what steps, waits and the loop's lag came to."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.lag = Seconds(WAIT_BOUNDS)
        both = ["room", "step"]
        steps = self._counter("steps", "Steps of rooms that ended, by how.", [*both, "outcome"])
        rows = self._counter("step_rows", "Rows of files and loads that were read.", both)
        seconds = self._histogram("step", "How long a step of a room took.", STEP_BOUNDS, both)
        busy = self._gauge("steps_current", "Steps under way.", ["room"])
        all_steps = [(room, step) for room, names in STEPS.items() for step in names]
        # Made now, so that a rate sees the first of each, and their number is the same for ever.
        self._ended = {
            (*one, outcome): steps.labels(*one, outcome)
            for one in all_steps
            for outcome in OUTCOMES
        }
        self._rows = {one: rows.labels(*one) for one in ROWS}
        self._seconds = {one: seconds.labels(*one) for one in all_steps}
        self._busy = {room: busy.labels(room) for room in STEPS}
        self._waits = self._histogram(
            "database_pool_wait", "How long a connection was waited for.", WAIT_BOUNDS
        )
        self._lag = self._histogram(
            "loop_lag", "How much later than asked a worker's loop came round.", WAIT_BOUNDS
        )
        self._gauges = {name: self._gauge(*told) for name, told in _GAUGES.items()}
        self._dropped = self._counter(
            "log_lines_dropped", "Lines of the log that nobody read in time."
        )
        self._in_vain = self._counter(
            "database_pool_timeouts", "Who waited for a connection in vain."
        )
        self._told = (0, 0)

    def show(self, steps: Steps, waits: Seconds, machinery: Machinery) -> None:
        """Shows what was counted since the last time, and forgets it."""
        for ended, count in steps.ended.items():
            self._ended[ended].inc(count)
        for key, count in steps.rows.items():
            self._rows[key].inc(count)
        for key, seconds in steps.seconds.items():
            _hand_on(self._seconds[key], seconds)
        steps.forget()
        for room, child in self._busy.items():
            child.set(steps.busy[room])
        for histogram, seconds in ((self._waits, waits), (self._lag, self.lag)):
            _hand_on(histogram, seconds)
            seconds.forget()
        for name, gauge in self._gauges.items():
            gauge.set(getattr(machinery, name))
        dropped, in_vain = self._told
        self._dropped.inc(machinery.dropped - dropped)
        self._in_vain.inc(machinery.in_vain - in_vain)
        self._told = (machinery.dropped, machinery.in_vain)

    def _counter(self, name: str, told: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"kopeck_{name}_total", told, labels, registry=self._registry)

    def _gauge(self, name: str, told: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(
            f"kopeck_{name}", told, labels, registry=self._registry, multiprocess_mode="livesum"
        )

    def _histogram(
        self, name: str, told: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(
            f"kopeck_{name}_seconds", told, labels, registry=self._registry, buckets=tuple(bounds)
        )


def _hand_on(histogram: Histogram, seconds: Seconds) -> None:
    for bucket, count in zip(histogram._buckets, seconds.counts, strict=True):
        if count:
            bucket.inc(count)
    histogram._sum.inc(seconds.total)
