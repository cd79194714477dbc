"""Spans of what a worker does, for a collector; off unless one is named, and then nearly nothing.

Nothing of OpenTelemetry is imported here: gateway.tracing.otel is, once, where traces are wanted.
A span tells words of closed lists, numbers and our own callers' numbers; never what a caller sent,
what stands in a row, or a failure's message.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Protocol, Self

from msgspec import Struct

Told = str | int | float | bool


class Span(Protocol):
    """One piece of work under way, for `with`: it ends with the block, and fails with it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...

    def tell(self, **told: Told) -> None:
        """Tells more of it: values of closed lists or numbers; `name` names it anew, and `failed`
        says that it failed, as what.
        """
        ...


class Place(Struct, frozen=True):
    """Where a span stands: its trace's and its own id in hexadecimal, whether it is sent."""

    trace: str
    span: str
    sampled: bool

    @property
    def traceparent(self) -> str:
        """As the W3C header has it."""
        return f"00-{self.trace}-{self.span}-{int(self.sampled):02x}"


class Spans(Protocol):
    """Who makes spans; gateway.tracing.otel does."""

    def inner(self, name: str, told: dict[str, Told]) -> Span:
        """Within the span under way, if there is one."""
        ...

    def outward(self, name: str, told: dict[str, Told]) -> Span:
        """The same, of a call to somebody else."""
        ...

    def request(self, traceparent: str | None) -> Span:
        """Of a request to us, in the trace of the caller's header."""
        ...

    def group(self, name: str, places: Iterable[Place], told: dict[str, Told]) -> Span:
        """Of work for several spans at once: linked to all, within the first that is sent."""
        ...

    def done(self, name: str, seconds: float, failure: str | None, told: dict[str, Told]) -> None:
        """A call to the database that has just ended, within the span under way, if any."""
        ...

    def tell(self, told: dict[str, Told]) -> None:
        """More of the span under way."""
        ...

    def here(self) -> Place | None:
        """The span under way."""
        ...

    def close(self) -> None:
        """Sends what waits, for a bounded time."""
        ...


class _NoSpan:
    """Every span while traces are off: one object, which does nothing."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        return None

    def tell(self, **told: Told) -> None:
        """Nobody listens."""


NO_SPAN: Final = _NoSpan()
_spans: Spans | None = None


class NotInstalled(Exception):
    """Traces are wanted, and the extra that makes them is not there."""


@contextmanager
def exporting(url: str | None, share_ppm: int, version: str, slot: int) -> Iterator[None]:
    """Sends spans to `url` (OTLP over HTTP) while this is open; without one all stays off.

    `share_ppm`: of how many traces in a million. Raises NotInstalled.
    """
    global _spans
    if url is None:
        yield
        return
    try:
        from gateway.tracing.otel import OtelSpans
    except ImportError as missing:
        raise NotInstalled from missing
    made = OtelSpans(url, share_ppm, version, slot)
    before, _spans = _spans, made
    try:
        yield
    finally:
        _spans = before
        made.close()


def on() -> bool:
    """Whether spans go anywhere."""
    return _spans is not None


def span(name: str, **told: Told) -> Span:
    """A piece of our own work; `name` is of the code, never of the data."""
    return NO_SPAN if _spans is None else _spans.inner(name, told)


def outward(name: str, **told: Told) -> Span:
    """A call to somebody else. They are not told our trace's id."""
    return NO_SPAN if _spans is None else _spans.outward(name, told)


def request(traceparent: str | None) -> Span:
    """A request to us."""
    return NO_SPAN if _spans is None else _spans.request(traceparent)


def group(name: str, places: Iterable[Place], **told: Told) -> Span:
    """Work for several spans at once."""
    return NO_SPAN if _spans is None else _spans.group(name, places, told)


def done(name: str, seconds: float, failure: str | None, **told: Told) -> None:
    """A call to the database that has just ended; `failure` is the name of its kind."""
    if _spans is not None:
        _spans.done(name, seconds, failure, told)


def tell(**told: Told) -> None:
    """Tells more of the span under way, as its own `tell` does."""
    if _spans is not None:
        _spans.tell(told)


def here() -> Place | None:
    """Where the span under way stands."""
    return None if _spans is None else _spans.here()
