"""What rooms do beside payments, step by step: how often, how it ended, how long, how much at once.

Counted in memory, and taken once a second by the metrics; each step is a span where traces are on.
Both of its words are from the closed list below, so that no metric grows with what is sent to us.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Protocol, Self, TypeVar

from gateway import tracing
from gateway.domain.refusals import InvariantBroken, Refusal, Unavailable

# Room → its steps. Those of acquirers are their kinds.
STEPS: Final = {
    "acquirer_reports": ("take",),
    "acquirers": ("raiffeisen", "sandbox", "sber", "tbank", "yookassa"),
    "agreements": ("decide", "propose"),
    "audit": ("money",),
    "billers": ("cancel", "check", "pay"),
    "bills": ("load",),
    "corrections": ("charge_back", "correct", "refund", "resolve"),
    "methods": ("open",),
    "obligations": ("approve", "file", "load", "withdraw"),
    "parties": ("confirm", "recipient"),
    "payouts": ("file", "statement"),
    "reconciliation": ("late", "match"),
    "scans": ("drawing", "picture", "text"),
    "seals": ("history", "seal"),
    "settlement": ("approve", "cancel", "close", "count", "report", "send"),
    "splitting": ("surcharge",),
    "watch": ("look", "months"),
    "webhooks": ("send",),
}
# Those that are calls to somebody else.
_OUTWARD: Final = frozenset({"acquirers", "webhooks"})
# Those that count what they went through, row by row.
ROWS: Final = (
    ("acquirer_reports", "take"),
    ("bills", "load"),
    ("obligations", "file"),
    ("payouts", "statement"),
)

DONE: Final = "done"
REFUSED: Final = "refused"
UNAVAILABLE: Final = "unavailable"
FAILED: Final = "failed"
# Done as asked; the asker's to mend; nobody there, or nobody in time; our fault.
OUTCOMES: Final = (DONE, REFUSED, UNAVAILABLE, FAILED)

# Seconds: a look at a row, a bank's answer, the count of a day.
STEP_BOUNDS: Final = (0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

# Waits for what is free at once, nearly always.
WAIT_BOUNDS: Final = (0.0001, 0.0005, 0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_ALL: Final = frozenset((room, step) for room, steps in STEPS.items() for step in steps)


class Seconds:
    """How long something took since it was asked last: counts by bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = STEP_BOUNDS) -> None:
        self._bounds = bounds
        self.forget()

    def add(self, seconds: float) -> None:
        """One more, in the first bucket whose bound it does not exceed."""
        self.counts[bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def forget(self) -> None:
        """All that was counted was taken."""
        self.counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0


class Steps:
    """The steps of one worker since they were taken last, and what is under way."""

    def __init__(self) -> None:
        self.ended: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.seconds: defaultdict[tuple[str, str], Seconds] = defaultdict(Seconds)
        self.rows: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.busy: defaultdict[str, int] = defaultdict(int)

    def step(self, room: str, step: str) -> "Step":
        """One step, for `with`; InvariantBroken for one that is not in the list."""
        if (room, step) not in _ALL:
            raise InvariantBroken("Expected a step of the list in gateway/steps.py")
        return Step(self, room, step)

    def forget(self) -> None:
        """All that ended was taken."""
        self.ended.clear()
        self.seconds.clear()
        self.rows.clear()


class Step:
    """One step under way. How it ended is told by what leaves the block, or by `outcome`."""

    __slots__ = ("_began", "_key", "_span", "_steps", "outcome")

    def __init__(self, steps: Steps, room: str, step: str) -> None:
        self._steps = steps
        self._key = (room, step)
        self.outcome: str | None = None

    def __enter__(self) -> Self:
        room, step = self._key
        make = tracing.outward if room in _OUTWARD else tracing.span
        self._span = make(f"{room} {step}")
        self._span.__enter__()
        self._steps.busy[room] += 1
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        steps, key = self._steps, self._key
        outcome = self.outcome or (DONE if failure is None else _outcome_of(failure))
        steps.busy[key[0]] -= 1
        steps.seconds[key].add(time.perf_counter() - self._began)
        steps.ended[*key, outcome] += 1
        self._span.tell(outcome=outcome)
        self._span.__exit__(kind, failure, at)

    def rows(self, count: int) -> None:
        """It went through so many more rows."""
        self._steps.rows[self._key] += count
        self._span.tell(rows=count)


def _outcome_of(failure: BaseException) -> str:
    if isinstance(failure, Refusal):
        return REFUSED
    # Who is cancelled stops with the worker, or has nobody left to answer.
    nobody = isinstance(failure, Unavailable | TimeoutError | OSError)
    return UNAVAILABLE if nobody or not isinstance(failure, Exception) else FAILED


class Stepping(Protocol):
    """Whoever has the steps of a worker at hand."""

    @property
    def steps(self) -> Steps: ...


_Context = TypeVar("_Context", bound=Stepping)
_Told = ParamSpec("_Told")
_Came = TypeVar("_Came")
_Flow = Callable[Concatenate[_Context, _Told], Coroutine[Any, Any, _Came]]


def timed(
    room: str, step: str
) -> "Callable[[_Flow[_Context, _Told, _Came]], _Flow[_Context, _Told, _Came]]":
    """Makes each call of a flow, whose context comes first, one step."""

    def decorate(flow: "_Flow[_Context, _Told, _Came]") -> "_Flow[_Context, _Told, _Came]":
        @wraps(flow)
        async def stepping(context: _Context, /, *told: _Told.args, **more: _Told.kwargs) -> _Came:
            with context.steps.step(room, step):
                return await flow(context, *told, **more)

        return stepping

    return decorate
