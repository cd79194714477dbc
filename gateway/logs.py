"""Lines of JSON for whoever watches a process: structlog before, a writer of its own behind.

What a caller sent, and what stands in a row, is never in a line: words of closed lists, our own ids
and numbers. Libraries' own complaints are told by their template, without what was put into it.
"""

import logging
import os
import stat
import threading
import time
import traceback
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any, Final, Self

import orjson
import structlog

from gateway import tracing

STDERR: Final = 2
# About a second of a worker's lines; what comes while nobody reads is counted and dropped.
LINES_MAX: Final = 20_000
# How long lines are gathered before they are written together.
GATHER_S: Final = 0.05
CLOSE_S: Final = 1.0
# Several processes share one pipe: what is written to it at once up to here stays whole (PIPE_BUF).
_PIPE_BYTES: Final = 4_096
_FILE_BYTES: Final = 65_536
_BLOCK_LINES: Final = 1_000
_FRAMES_MAX: Final = 12

Event = MutableMapping[str, Any]


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a part of the house: an event in plain words, its values by name."""
    made: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return made


def bug(failure: BaseException, where: str, **more: str) -> None:
    """One line for a failure nobody expected: its kind and our lines it passed, no values.

    The message is left out, as it may quote what a caller sent or what stands in a row.
    """
    frames = traceback.extract_tb(failure.__traceback__)[-_FRAMES_MAX:]
    path = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    place = tracing.here()
    if place is not None:
        more["trace_id"] = place.trace
    _log.error(f"{type(failure).__name__} in {where}", passed=path, **more)


class Lines:
    """Writes whole lines in a thread: a reader that stalls holds no payment up.

    Used as a context manager; what waits at its end is written, for CLOSE_S at most.
    """

    def __init__(self, descriptor: int = STDERR) -> None:
        self._descriptor = descriptor
        self._bytes_max = (
            _PIPE_BYTES if stat.S_ISFIFO(os.fstat(descriptor).st_mode) else _FILE_BYTES
        )
        self._waiting: list[bytes] = []
        self._dropped = 0
        self.dropped_in_all = 0
        self._some = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="lines of the log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._ending = True
        self._some.set()
        self._thread.join(CLOSE_S)

    def write(self, line: bytes) -> None:
        """Queues one line, which ends with a line feed; never waits."""
        if len(self._waiting) >= LINES_MAX:
            self._dropped += 1
            self.dropped_in_all += 1
            return
        self._waiting.append(line)
        if not self._some.is_set():
            self._some.set()

    def _run(self) -> None:
        while not self._ending:
            self._some.wait()
            if not self._ending:
                time.sleep(GATHER_S)
            self._some.clear()
            try:
                self._write_all()
            except OSError:
                # Nobody reads any more; the gateway goes on without being watched.
                self._waiting.clear()

    def _write_all(self) -> None:
        while self._waiting:
            # Of all lines at once: this thread and the event loop take turns, and each step of this
            # one is a step of a payment's less. Whatever is added meanwhile stands behind them.
            lines = self._waiting[:_BLOCK_LINES]
            del self._waiting[: len(lines)]
            self._put(b"".join(lines))
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._put(_lost(dropped))

    def _put(self, lines: bytes) -> None:
        """Writes as many whole lines at a time as stay whole."""
        at = 0
        while at < len(lines):
            end = len(lines)
            if end - at > self._bytes_max:
                end = lines.rfind(b"\n", at, at + self._bytes_max) + 1 or lines.index(b"\n", at) + 1
            while at < end:
                at += os.write(self._descriptor, lines[at:end])


def install(level: str, write: Callable[[bytes], None]) -> None:
    """Sends every line of this process, also those of libraries, at `level` or above to `write`."""
    sink = _Sink(write)
    sink.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_dumps),
            ],
            foreign_pre_chain=[_without_values, *_SHARED],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [sink]
    root.setLevel(level.upper())


def write_now(line: bytes) -> None:
    """For a process that has no time to lose with a thread: straight to stderr."""
    os.write(STDERR, line)


class _Sink(logging.Handler):
    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Formats and writes; a fault of that is one line too."""
        try:
            line = self.format(record)
        except Exception as failure:
            line = _dumps({"level": "error", "event": f"unspeakable: {type(failure).__name__}"})
        self._write(line.encode() + b"\n")


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _lost(count: int) -> bytes:
    told = {"level": "warning", "event": "lines were dropped, nobody read them", "count": count}
    return _dumps(told).encode() + b"\n"


def _without_values(_: Any, __: str, event: Event) -> Event:
    """A library's record: its template and the kind of its failure alone."""
    record: logging.LogRecord = event["_record"]
    event["event"] = str(record.msg).partition("\n")[0]
    if record.exc_info and record.exc_info[0] is not None:
        event["failure"] = record.exc_info[0].__name__
    event.pop("exc_info", None)
    return event


_SHARED: Final[list[Any]] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_SHARED,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
_log = logger("kopeck")
