"""Metrics as they are told: plain text, or OpenMetrics with exemplars for whoever asks for it."""

from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from gateway.exemplars import Exemplars, WithExemplars

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text"
OPENMETRICS_TYPE: Final = f"{OPENMETRICS}; version=1.0.0; charset=utf-8"


def merged(accept: str, exemplars: Exemplars | None) -> tuple[bytes, str]:
    """Of all workers, out of their files; content and media type, as the Accept header wants it."""
    counted = CollectorRegistry()
    multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    return written(counted, accept, exemplars)


def written(
    metrics: CollectorRegistry, accept: str, exemplars: Exemplars | None
) -> tuple[bytes, str]:
    """The same of one collector."""
    wanted = {one.partition(";")[0].strip().lower() for one in accept.split(",")}
    if OPENMETRICS not in wanted:
        return generate_latest(metrics), CONTENT_TYPE
    told: Collector | CollectorRegistry = metrics
    if exemplars is not None:
        told = WithExemplars(metrics, exemplars.name, exemplars.of_all())
    return openmetrics.generate_latest(told), OPENMETRICS_TYPE  # type: ignore[no-untyped-call]
