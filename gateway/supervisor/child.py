"""One process to keep running: how it is started, seen to end, and started again.

A process that keeps ending is started more and more slowly, so that it cannot use up the machine.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable

_BACKOFF_MIN_S = 0.1
_BACKOFF_MAX_S = 2.0
# Whoever ran for so long has started well, and its next end is a new misfortune.
_STEADY_S = 1.0


class Child:
    """`kind` is what it is counted as; `name` is what people read."""

    def __init__(self, kind: str, name: str, launch: Callable[[], "subprocess.Popen[bytes]"]):
        self.kind = kind
        self.name = name
        self._launch = launch
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._delay_s = _BACKOFF_MIN_S
        # Readable once the process has ended, so that a selector wakes for it.
        self.pidfd: int | None = None
        # When to start it again, by the monotonic clock; None while it runs.
        self.due_at: float | None = time.monotonic()

    @property
    def alive(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Must be called by the main thread: the child dies with the thread that started it."""
        self._started_at = time.monotonic()
        self.adopt(self._launch())

    def adopt(self, process: "subprocess.Popen[bytes]") -> None:
        """Takes over a process that somebody else has launched."""
        self._process = process
        self.pidfd = os.pidfd_open(process.pid)
        self.due_at = None

    def reap(self) -> int:
        """After the pidfd became readable: the exit code, negative for a signal."""
        if self._process is None or self.pidfd is None:
            return 0
        code = self._process.wait()
        os.close(self.pidfd)
        self._process = self.pidfd = None
        return code

    def schedule(self) -> float:
        """Plans the next start and returns in how many seconds."""
        if time.monotonic() - self._started_at >= _STEADY_S:
            self._delay_s = _BACKOFF_MIN_S
        delay_s = self._delay_s
        self._delay_s = min(delay_s * 2, _BACKOFF_MAX_S)
        self.due_at = time.monotonic() + delay_s
        return delay_s

    def send(self, number: signal.Signals) -> None:
        """Nothing happens when it has ended already."""
        if self._process is not None:
            self._process.send_signal(number)
