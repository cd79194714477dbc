"""Every metric, declared here and nowhere else; labels come from closed lists.

No account, payment, recipient or key is ever a label. Workers count in files named for their slot
(prometheus-client's multiprocess mode), so any of them can answer for all. A payment is in its file
before its answer, so that a killed worker has counted all it answered. The rest is added up in
memory and follows once a second: every step in a file costs most of a microsecond.
"""

import asyncio
import math
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    values,
)

from gateway import exposition, tracing
from gateway.domain import biller, event
from gateway.domain.party import RECIPIENT_KINDS
from gateway.domain.payment import METHODS
from gateway.domain.states import PAYOUT_STATES
from gateway.exemplars import Exemplars, file_of

MULTIPROCESS_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"

# What becomes of a payment that is sent; `refused` is the caller's fault, `failed` ours.
OUTCOMES: Final = (
    *("accepted", "suspense", "replayed", "refused", "unavailable", "failed"),
    # Kept and asked for at an acquirer; what came of it is counted by the acquirer's kind.
    "started",
)
UNKNOWN_METHOD: Final = "unknown"
# What does not agree between payments, reports, statements and payouts.
DISCREPANCIES: Final = (
    *("online-only", "registry-only", "sum-differs", "account-differs", "duplicate-in-registry"),
    *("unknown-debit", "unknown-credit", "unknown-return", "requisites-differ"),
    *("executed-twice", "returned-twice", "cancelled-executed", "money-without-report"),
    *("fee-differs", "not-reported", "money-not-arrived"),
)

# How old another worker's counts may be where one answers for all.
FLUSH_S: Final = 1.0

PAYMENT_SECONDS: Final = "kopeck_payment_seconds"
_PAYMENT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REQUEST_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 1, 5, 30)
_SPLIT_BUCKETS: Final = (
    *(n / 1e9 for n in (50, 100, 200, 300, 500, 750)),
    *(n / 1e6 for n in (1, 1.5, 2, 3, 5, 10, 25, 50, 100, 1000)),
)
_GROUP_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
_COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)

# Field of the figures → the metric's name, and what it tells.
_STANDING: Final = {
    "suspense_age": (
        "suspense_age_seconds",
        "How long the oldest money in suspense has been there; 0 where none is.",
    ),
    "unsettled_age": (
        "unsettled_age_seconds",
        "How long ago the oldest money was taken that no approved batch has; 0 where none is.",
    ),
    "settlement_late": (
        "settlement_late_seconds",
        "How long ago the working day ended on which that money was to go out; or 0.",
    ),
    "payout_age": (
        "payout_age_seconds",
        "How long ago the oldest payouts were approved that the bank has not carried out; or 0.",
    ),
    "statement_age": (
        "statement_age_seconds",
        "How long, while payouts wait, no statement of the bank has been taken; or 0.",
    ),
    "receivable": ("receivable_kopecks", "What recipients owe and no batch has netted."),
    "receivable_age": (
        "receivable_age_seconds",
        "How long ago the batch was closed that the oldest debt of a recipient began in; or 0.",
    ),
    "held_age": (
        "settlement_held_seconds",
        "How long settlement has been held after a restore that nobody has lifted; or 0.",
    ),
    "clock_skew": ("clock_skew_seconds", "The database's clock less the gateway's."),
    "months_ahead": (
        "payments_months_ahead_seconds",
        "How long until the newest month of payments that has a partition ends.",
    ),
    "connections": ("database_connections", "Connections to the server, whoever has them."),
    "connections_max": ("database_connections_max", "Connections that the server accepts."),
    "size": ("database_size_bytes", "Bytes of the database on its disk, without its log."),
    "longest": ("database_longest_seconds", "How long the oldest open db_transaction has run."),
    "freeze_age": ("database_freeze_age", "db_transactions since the oldest unfrozen row."),
    "replicas": ("replicas", "Standby servers that stream from the database."),
    "replica_lag": (
        "replica_lag_bytes",
        "Bytes of the log that the slowest replica has not replayed; 0 where nobody may see it.",
    ),
}
_DATABASE_COUNTS: Final = {
    "commits": "Commits in our database.",
    "rollbacks": "Rollbacks in our database.",
    "deadlocks": "Deadlocks in our database.",
    "blocks_read": "Blocks that the server asked its operating system for.",
    "blocks_hit": "Blocks that the server found in its own memory.",
}


class MoneyFigures(Protocol):
    """What the money gauges show; gateway.audit.gauges counts it."""

    @property
    def imbalance(self) -> int: ...
    @property
    def suspense(self) -> int: ...
    @property
    def unsettled(self) -> Mapping[str, int]: ...
    @property
    def payouts(self) -> Mapping[str, int]: ...


class DiskFigures(Protocol):
    """Bytes of a disk."""

    @property
    def free(self) -> int: ...
    @property
    def size(self) -> int: ...


class StandingFigures(Protocol):
    """What the standing gauges show; gateway.watch looks."""

    @property
    def suspense_age(self) -> float: ...
    @property
    def unsettled_age(self) -> float: ...
    @property
    def settlement_late(self) -> float: ...
    @property
    def payout_age(self) -> float: ...
    @property
    def statement_age(self) -> float: ...
    @property
    def receivable(self) -> int: ...
    @property
    def receivable_age(self) -> float: ...
    @property
    def held_age(self) -> float: ...
    @property
    def clock_skew(self) -> float: ...
    @property
    def months_ahead(self) -> float: ...
    @property
    def connections(self) -> int: ...
    @property
    def connections_max(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def longest(self) -> float: ...
    @property
    def freeze_age(self) -> int: ...
    @property
    def replicas(self) -> int: ...
    @property
    def replica_lag(self) -> int | None: ...
    @property
    def counted(self) -> Mapping[str, int]: ...
    @property
    def disk(self) -> DiskFigures | None: ...


def use_slot(slot: int) -> None:
    """Counts in the files of this slot from now on; must run before any Telemetry is made.

    A worker that is started again goes on in the files of the one before it, so counters never
    go backwards and the number of files does not grow.
    """
    if MULTIPROCESS_DIRECTORY in os.environ:
        in_files = values.MultiProcessValue
        values.ValueClass = in_files(lambda: slot)  # type: ignore[no-untyped-call]


class Observations:
    """A histogram's observations since the last flush, bucket by bucket."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._bounds = histogram._upper_bounds
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, amount: float) -> None:
        """One more, in the first bucket whose bound it does not exceed."""
        self._counts[bisect_left(self._bounds, amount)] += 1
        self._sum += amount

    def flush(self) -> None:
        """Hands on what was observed."""
        for number, count in enumerate(self._counts):
            if count:
                self._histogram._buckets[number].inc(count)
        self._histogram._sum.inc(self._sum)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0


class TracedObservations(Observations):
    """The same, which keeps exemplars; made while traces are on alone."""

    def __init__(self, histogram: Histogram, exemplars: Exemplars) -> None:
        super().__init__(histogram)
        self._exemplars = exemplars

    def observe(self, amount: float) -> None:
        """As Observations has it."""
        super().observe(amount)
        self._exemplars.observe(amount)

    def flush(self) -> None:
        """As Observations has it."""
        super().flush()
        self._exemplars.flush()


class Telemetry:
    """The metrics of one worker, with their children at hand; also observes the intake.

    Counts inside a running event loop, which flushes them FLUSH_S after the first that waits;
    `flush` is for whoever cannot wait, as a worker that ends.
    """

    def __init__(self, version: str, kernel: str, slot: int = 0) -> None:
        self.registry = CollectorRegistry()
        self._exemplars: Exemplars | None = None
        if tracing.on():
            place = os.environ.get(MULTIPROCESS_DIRECTORY)
            file = None if place is None else file_of(Path(place), slot)
            self._exemplars = Exemplars(PAYMENT_SECONDS, (*_PAYMENT_BUCKETS, math.inf), file)
        self._observations: list[Observations] = []
        self._waiting = False
        self._declare_payments()
        self._declare_money()
        self._declare_acquirers()
        self._declare_billers()
        self._declare_webhooks()
        self._declare_reconciliation()
        self.standing = StandingGauges(self.registry)
        requests = Counter(
            "kopeck_http_requests_total",
            "Requests answered, by route and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self._requests = requests
        self._request_seconds = Histogram(
            "kopeck_http_request_seconds",
            "From a request's head to its answer, by route; payments have their own.",
            ["route"],
            registry=self.registry,
            buckets=_REQUEST_BUCKETS,
        )
        self._took: dict[str, Observations] = {}
        self._answered: defaultdict[tuple[str, int], int] = defaultdict(int)
        build = Gauge(
            "kopeck_build_info",
            "Always 1; the version of the gateway and the splitting core in use.",
            ["version", "kernel"],
            registry=self.registry,
            multiprocess_mode="max",
        )
        build.labels(version, kernel).set(1)

    def _declare_payments(self) -> None:
        payments = Counter(
            "kopeck_payments_total",
            "Payments sent to us, by method and by what became of them.",
            ["method", "outcome"],
            registry=self.registry,
        )
        self._payments = {
            (method, outcome): payments.labels(method, outcome)
            for method in (*METHODS, UNKNOWN_METHOD)
            for outcome in OUTCOMES
        }
        self.payment_seconds = self._histogram(
            PAYMENT_SECONDS, "From request to durable answer.", _PAYMENT_BUCKETS, self._exemplars
        )
        self._split_seconds = self._histogram(
            "kopeck_split_seconds",
            "Splitting one payment, as the mean of its commit group.",
            _SPLIT_BUCKETS,
        )
        self._group_size = self._histogram(
            "kopeck_commit_group_size", "Payments of one commit group.", _GROUP_BUCKETS
        )
        self._commit_seconds = self._histogram(
            "kopeck_commit_seconds",
            "From a commit group's first statement to its commit.",
            _COMMIT_BUCKETS,
        )

    def _declare_acquirers(self) -> None:
        self._waiting_seen: set[tuple[str, str]] = set()
        self._waiting_tries, self._waiting_seconds = (
            Gauge(
                name,
                told,
                ["kind", "state"],
                registry=self.registry,
                multiprocess_mode="mostrecent",
            )
            for name, told in (
                ("kopeck_authorisations_waiting", "Payments that we started, not settled yet."),
                ("kopeck_authorisations_oldest_seconds", "The age of the oldest of them."),
            )
        )
        self._authorisations = Counter(
            "kopeck_authorisations_total",
            "What payments that we started came to; unknown is asked about until it is known.",
            ["kind", "outcome"],
            registry=self.registry,
        )

    def _declare_money(self) -> None:
        self._imbalance = self._gauge(
            "kopeck_ledger_imbalance_kopecks",
            "Debits less credits over the whole ledger; anything but 0 is a bug.",
        )
        self._suspense = self._gauge(
            "kopeck_suspense_kopecks",
            "Money held for accounts that have no bill; counted every few seconds.",
        )
        unsettled = Gauge(
            "kopeck_unsettled_kopecks",
            "Owed to recipients and not approved yet; counted every few seconds.",
            ["recipient_kind"],
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self._unsettled = {kind: unsettled.labels(kind) for kind in RECIPIENT_KINDS}
        payouts = Counter(
            "kopeck_payouts_total", "Payouts made, by state.", ["state"], registry=self.registry
        )
        self._payouts = {state: payouts.labels(state) for state in PAYOUT_STATES}

    def _declare_webhooks(self) -> None:
        attempts = Counter(
            "kopeck_webhook_attempts_total",
            "Attempts to tell a recipient by a webhook, by what they came to.",
            ["outcome"],
            registry=self.registry,
        )
        self._webhook_attempts = {word: attempts.labels(word) for word in event.OUTCOMES}
        disabled = Gauge(
            "kopeck_webhooks_disabled",
            "Webhooks that nothing is sent to any more, by reason.",
            ["reason"],
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self._webhooks_disabled = {word: disabled.labels(word) for word in event.DISABLED_FOR}
        self._deliveries_waiting = self._gauge(
            "kopeck_webhook_deliveries_waiting", "Events that webhooks have not taken yet."
        )
        self._deliveries_oldest = self._gauge(
            "kopeck_webhook_deliveries_oldest_seconds", "How long the oldest of them waits."
        )

    def _declare_reconciliation(self) -> None:
        self._not_arrived = self._gauge(
            "kopeck_money_not_arrived_kopecks",
            "Money that acquirers' reports tell of and that has not come.",
        )
        self._discrepancies, self._discrepancy_ages = (
            {kind: gauge.labels(kind) for kind in DISCREPANCIES}
            for gauge in (
                Gauge(
                    name,
                    told,
                    ["kind"],
                    registry=self.registry,
                    multiprocess_mode="mostrecent",
                )
                for name, told in (
                    ("kopeck_discrepancies_open", "Discrepancies that nobody has resolved."),
                    ("kopeck_discrepancies_oldest_seconds", "How old the oldest of them is; or 0."),
                )
            )
        )

    def _declare_billers(self) -> None:
        answers = Counter(
            "kopeck_biller_answers_total",
            "Answers by the biller protocols, by command and by verdict.",
            ["protocol", "command", "verdict"],
            registry=self.registry,
        )
        self._biller_answers = answers
        conflicts = Counter(
            "kopeck_biller_conflicts_total",
            "Operations of banks and agents that came again with another sum or account.",
            ["protocol", "differs"],
            registry=self.registry,
        )
        self._biller_conflicts = {
            (protocol, differs): conflicts.labels(protocol, differs)
            for protocol in biller.PROTOCOLS
            for differs in biller.DIFFERENCES
        }

    def _histogram(
        self, name: str, told: str, buckets: Iterable[float], exemplars: Exemplars | None = None
    ) -> Observations:
        histogram = Histogram(name, told, registry=self.registry, buckets=tuple(buckets))
        made = (
            Observations(histogram)
            if exemplars is None
            else TracedObservations(histogram, exemplars)
        )
        self._observations.append(made)
        return made

    def _gauge(self, name: str, told: str) -> Gauge:
        # Only one worker sets these; a worker that never did has no say in the merged value.
        return Gauge(name, told, registry=self.registry, multiprocess_mode="mostrecent")

    def answered(self, route: str, status: int) -> None:
        """One more request answered; `route` is a name of the route table."""
        self._answered[route, status] += 1
        if not self._waiting:
            self._flush_later()

    def took(self, route: str, seconds: float) -> None:
        """How long a request took that `answered` counts, but for one by the hot road's route."""
        seen = self._took.get(route)
        if seen is None:
            seen = self._took[route] = Observations(self._request_seconds.labels(route))
            self._observations.append(seen)
        seen.observe(seconds)

    def payment(self, method: str, outcome: str, count: int = 1) -> None:
        """One more payment, or several; both words are from the closed lists."""
        # Past the looks at names and signs that a metric takes before each step.
        self._payments[method, outcome]._value.inc(count)

    def waiting(self, tries: Iterable[tuple[str, str, int, float]]) -> None:
        """Shows how many tries of each kind stand in each open state, and how old the oldest is."""
        counted = {(kind, state): (count, age) for kind, state, count, age in tries}
        # What has gone is shown as none, not as it was.
        self._waiting_seen |= counted.keys()
        for kind, state in self._waiting_seen:
            count, age = counted.get((kind, state), (0, 0.0))
            self._waiting_tries.labels(kind, state).set(count)
            self._waiting_seconds.labels(kind, state).set(age)

    def authorisation(self, kind: str, outcome: str) -> None:
        """What a payment that we started came to; a kind of acquirer and a word of their list."""
        self._authorisations.labels(kind, outcome).inc()

    def webhook_attempt(self, outcome: str) -> None:
        """One more attempt to tell a recipient; a word of event.OUTCOMES."""
        self._webhook_attempts[outcome].inc()

    def webhooks(self, disabled: Mapping[str, int], waiting: int, oldest_s: float) -> None:
        """Shows webhooks that are disabled, and what waits for the others."""
        for reason, child in self._webhooks_disabled.items():
            child.set(disabled.get(reason, 0))
        self._deliveries_waiting.set(waiting)
        self._deliveries_oldest.set(oldest_s)

    def reconciliation(
        self, counts: Mapping[str, int], ages: Mapping[str, float], not_arrived: int
    ) -> None:
        """Shows what is open by kind, how old the oldest is in seconds, and kopecks awaited."""
        for kind in DISCREPANCIES:
            self._discrepancies[kind].set(counts.get(kind, 0))
            self._discrepancy_ages[kind].set(ages.get(kind, 0.0))
        self._not_arrived.set(not_arrived)

    def biller_answered(self, protocol: str, command: str, verdict: str) -> None:
        """One more answer by a biller protocol; all three words are from its closed lists."""
        self._biller_answers.labels(protocol, command, verdict).inc()

    def biller_conflict(self, protocol: str, differs: str) -> None:
        """An operation came again with something else; both words are from the closed lists."""
        self._biller_conflicts[protocol, differs].inc()

    def group(self, size: int, seconds: float) -> None:
        """A commit group of `size` payments took `seconds`."""
        self._group_size.observe(size)
        self._commit_seconds.observe(seconds)
        if not self._waiting:
            self._flush_later()

    def split(self, seconds: float, count: int) -> None:
        """`count` payments were split in `seconds` each; one observation a group."""
        self._split_seconds.observe(seconds)

    def money(self, figures: MoneyFigures) -> None:
        """Shows what was counted of the money last."""
        self._imbalance.set(figures.imbalance)
        self._suspense.set(figures.suspense)
        for kind, child in self._unsettled.items():
            child.set(figures.unsettled.get(kind, 0))
        for state, counter in self._payouts.items():
            # The database counts; the counter follows it, also across restarts of this worker.
            counter.inc(max(0, figures.payouts.get(state, 0) - counter._value.get()))

    def _flush_later(self) -> None:
        self._waiting = True
        asyncio.get_running_loop().call_later(FLUSH_S, self._flush_waiting)

    def _flush_waiting(self) -> None:
        self._waiting = False
        self.flush()

    def flush(self) -> None:
        """Puts what was counted where an exposition finds it."""
        for (route, status), count in self._answered.items():
            self._requests.labels(route, str(status)).inc(count)
        self._answered.clear()
        for observations in self._observations:
            observations.flush()

    async def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All workers' metrics and their media type; merged off the event loop.

        As OpenMetrics, with exemplars, for whoever's Accept header names it; else as plain text.
        """
        self.flush()
        if MULTIPROCESS_DIRECTORY not in os.environ:
            return exposition.written(self.registry, accept, self._exemplars)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, exposition.merged, accept, self._exemplars)


class StandingGauges:
    """Ages of what waits, clocks, disk and database, as one worker of each gateway sees them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._proved = self._gauge(
            "kopeck_ledger_proved_timestamp_seconds",
            "When the whole ledger was last counted and found in balance.",
        )
        self._gauges = {
            name: self._gauge(f"kopeck_{called}", told)
            for name, (called, told) in _STANDING.items()
        }
        self._disk = {
            name: Gauge(
                f"kopeck_disk_{name}_bytes",
                told,
                ["disk"],
                registry=registry,
                multiprocess_mode="mostrecent",
            )
            for name, told in (
                ("free", "Bytes that are left on the disk of the data directory."),
                ("size", "Bytes of the disk of the data directory."),
            )
        }
        self._counters = {
            name: Counter(f"kopeck_database_{name}_total", told, registry=registry)
            for name, told in _DATABASE_COUNTS.items()
        }
        self._counted: Mapping[str, int] = {}

    def _gauge(self, name: str, told: str) -> Gauge:
        return Gauge(name, told, registry=self._registry, multiprocess_mode="mostrecent")

    def proved(self, timestamp: float) -> None:
        """The whole ledger was found in balance, at this many seconds since 1970."""
        self._proved.set(timestamp)

    def show(self, figures: StandingFigures) -> None:
        """Shows how it stood when somebody looked last."""
        for name, gauge in self._gauges.items():
            value = getattr(figures, name)
            gauge.set(0 if value is None else value)
        if figures.disk is not None:
            self._disk["free"].labels("data").set(figures.disk.free)
            self._disk["size"].labels("data").set(figures.disk.size)
        for name, counter in self._counters.items():
            # The server counts from its own beginning, and again from 0 when it is told to.
            before = self._counted.get(name, figures.counted[name])
            counter.inc(max(0, figures.counted[name] - before))
        self._counted = figures.counted
