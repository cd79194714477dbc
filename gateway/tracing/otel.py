"""Spans by OpenTelemetry, sent as OTLP over HTTP by a thread; the only file that imports it.

What waits to be sent is bounded, and dropped beyond: a collector that is slow or gone holds nobody
up. Failures are told by their kind alone, as a message may quote what a caller sent.
"""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.domain.clock import nanoseconds
from gateway.tracing import Place, Span, Told

QUEUE_MAX: Final = 8_192
BATCH_MAX: Final = 512
SEND_EVERY_S: Final = 1.0
SEND_S: Final = 5.0
# For what waits at the end; whoever is restarted is not to wait for a collector.
CLOSE_S: Final = 2.0
LINKS_MAX: Final = 512
_MILLION: Final = 1_000_000
_PREFIX: Final = "kopeck."


class _Open:
    """A span that is the one under way within its block."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def __enter__(self) -> Self:
        self._token = attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        detach(self._token)
        if kind is not None:
            self._span.set_status(Status(StatusCode.ERROR, kind.__name__))
        self._span.end()

    def tell(self, **told: Told) -> None:
        """As Span has it."""
        _tell(self._span, told)


class OtelSpans:
    """The spans of one worker; `close` once nothing makes them any more."""

    def __init__(self, url: str, share_ppm: int, version: str, slot: int) -> None:
        # A caller's own flag does not decide: else whoever sets it has all of theirs sent.
        share = TraceIdRatioBased(share_ppm / _MILLION)
        sampler = ParentBased(share, remote_parent_sampled=share, remote_parent_not_sampled=share)
        self._provider = TracerProvider(
            sampler=sampler,
            resource=Resource(
                {"service.name": "kopeck", "service.version": version, "kopeck.worker": slot}
            ),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_links=LINKS_MAX),
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(url, timeout=SEND_S),
                max_queue_size=QUEUE_MAX,
                schedule_delay_millis=SEND_EVERY_S * 1000,
                max_export_batch_size=BATCH_MAX,
                export_timeout_millis=SEND_S * 1000,
            )
        )
        self._tracer = self._provider.get_tracer("kopeck", version)
        self._headers = TraceContextTextMapPropagator()

    def inner(self, name: str, told: dict[str, Told]) -> Span:
        """As Spans has it."""
        return _Open(self._tracer.start_span(name, attributes=_named(told)))

    def outward(self, name: str, told: dict[str, Told]) -> Span:
        """As Spans has it."""
        return _Open(self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=_named(told)))

    def request(self, traceparent: str | None) -> Span:
        """As Spans has it; the caller's tracestate is not taken, as it may say anything."""
        carrier = {} if traceparent is None else {"traceparent": traceparent}
        parent = self._headers.extract(carrier, Context())
        return _Open(self._tracer.start_span("request", parent, SpanKind.SERVER))

    def group(self, name: str, places: Iterable[Place], told: dict[str, Told]) -> Span:
        """As Spans has it."""
        known = list(dict.fromkeys(places))
        sent = [_context(place) for place in known if place.sampled]
        parent = Context()
        if known:
            first = sent[0] if sent else _context(known[0])
            parent = trace.set_span_in_context(trace.NonRecordingSpan(first), parent)
        links = [Link(one) for one in sent[:LINKS_MAX]]
        return _Open(self._tracer.start_span(name, parent, links=links, attributes=_named(told)))

    def done(self, name: str, seconds: float, failure: str | None, told: dict[str, Told]) -> None:
        """As Spans has it. What nobody asked for, such as looking round, makes no trace."""
        if not trace.get_current_span().get_span_context().trace_flags.sampled:
            return
        ended = nanoseconds()
        span = self._tracer.start_span(
            name,
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": "postgresql", **_named(told)},
            start_time=ended - int(seconds * 1e9),
        )
        if failure is not None:
            span.set_status(Status(StatusCode.ERROR, failure))
        span.end(ended)

    def tell(self, told: dict[str, Told]) -> None:
        """As Spans has it."""
        _tell(trace.get_current_span(), told)

    def here(self) -> Place | None:
        """As Spans has it."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return Place(
            trace.format_trace_id(found.trace_id),
            trace.format_span_id(found.span_id),
            found.trace_flags.sampled,
        )

    def close(self) -> None:
        """Sends what waits, for CLOSE_S at most: the thread is let go of after that."""
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(CLOSE_S)


def _tell(span: trace.Span, told: dict[str, Told]) -> None:
    name, failed = told.pop("name", None), told.pop("failed", None)
    if isinstance(name, str):
        span.update_name(name)
    if failed:
        span.set_status(Status(StatusCode.ERROR, str(failed)))
    span.set_attributes(_named(told))


def _named(told: dict[str, Told]) -> dict[str, Told]:
    """Names of ours behind a prefix; those of OpenTelemetry's own conventions have a double _."""
    return {
        name.replace("__", ".") if "__" in name else _PREFIX + name: value
        for name, value in told.items()
    }


def _context(place: Place) -> SpanContext:
    flags = TraceFlags.SAMPLED if place.sampled else TraceFlags.DEFAULT
    return SpanContext(
        int(place.trace, 16), int(place.span, 16), is_remote=False, trace_flags=TraceFlags(flags)
    )
