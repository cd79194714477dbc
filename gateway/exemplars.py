"""Exemplars: for each bucket of a histogram the latest observation whose trace is sent somewhere.

prometheus-client keeps none where workers count in files, so each worker writes its own beside
them: one file of a slot, replaced whole, with one exemplar a bucket at most.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from gateway import tracing
from gateway.domain.clock import nanoseconds

_FILES: Final = "exemplars_*.json"


class Observed(Struct, frozen=True, array_like=True):
    """One observation: its trace's id, how much it was, and when, in seconds since 1970."""

    trace: str
    amount: float
    at: float


# Number of the bucket → what fell into it last.
Latest = dict[int, Observed]
_reader: Final = msgspec.json.Decoder(Latest)


class Exemplars:
    """Those of the histogram `name` in one worker; all look at `file`, None where one is alone.

    Used only while traces are on.
    """

    def __init__(self, name: str, bounds: Iterable[float], file: Path | None) -> None:
        self.name = name
        self._bounds = tuple(bounds)
        self._file = file
        self._latest: Latest = {}
        self._fresh = False

    def observe(self, amount: float) -> None:
        """Keeps it if the request under way is in a trace that is sent."""
        place = tracing.here()
        if place is not None and place.sampled:
            observed = Observed(place.trace, amount, nanoseconds() / 1e9)
            self._latest[bisect_left(self._bounds, amount)] = observed
            self._fresh = True

    def flush(self) -> None:
        """Shows them to the other workers, if there are any."""
        if self._file is None or not self._fresh:
            return
        self._fresh = False
        beside = self._file.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(self._latest))
        beside.replace(self._file)

    def of_all(self) -> Mapping[float, Observed]:
        """Bound of a bucket → the latest of it in any worker."""
        found = dict(self._latest)
        for file in [] if self._file is None else self._file.parent.glob(_FILES):
            for bucket, observed in _read(file).items():
                known = found.get(bucket)
                if known is None or known.at < observed.at:
                    found[bucket] = observed
        count = len(self._bounds)
        return {self._bounds[at]: observed for at, observed in found.items() if 0 <= at < count}


class WithExemplars(Collector):
    """Metrics as another collector has them, one histogram with exemplars."""

    def __init__(
        self, metrics: Collector | CollectorRegistry, name: str, latest: Mapping[float, Observed]
    ) -> None:
        self._metrics = metrics
        self._name = name
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """As a registry has it."""
        for metric in self._metrics.collect():
            if metric.name == self._name:
                metric.samples = [
                    sample._replace(exemplar=self._of(sample.labels.get("le")))
                    for sample in metric.samples
                ]
            yield metric

    def _of(self, bound: str | None) -> Exemplar | None:
        observed = None if bound is None else self._latest.get(float(bound))
        if observed is None:
            return None
        return Exemplar({"trace_id": observed.trace}, observed.amount, observed.at)


def file_of(directory: Path, slot: int) -> Path:
    """Where the worker of a slot shows its exemplars."""
    return directory / _FILES.replace("*", str(slot))


def _read(file: Path) -> Latest:
    try:
        return _reader.decode(file.read_bytes())
    except (OSError, msgspec.MsgspecError):
        # An older version's, or gone meanwhile: a scrape without it is no worse.
        return {}
