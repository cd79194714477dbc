"""One worker as the supervisor sees it: its slot, its listening socket, and whether it accepts yet.

A worker counts in the files of its slot. The one that takes its place while it still lives has a
slot of its own, `workers` further, and the next one the first slot again.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Sequence

from gateway.config import PREFIX, TEST_PREFIX, Settings, environment
from gateway.supervisor.child import Child


class Worker(Child):
    """`listening` is kept open by the supervisor; every worker of its place accepts from it."""

    def __init__(
        self, settings: Settings, command: Sequence[str], slot: int, listening: socket.socket
    ) -> None:
        super().__init__("worker", f"worker {slot}", self._begin)
        self.slot = slot
        self.listening = listening
        self.ready = False
        # Readable once it accepts, and when it has ended before that.
        self.ready_fd: int | None = None
        self._settings = settings
        self._command = command

    def _begin(self) -> "subprocess.Popen[bytes]":
        self.ready = False
        self.ready_fd, told = os.pipe()
        # The kernel kills a worker whose supervisor is gone: nobody would be left to restart or to
        # drain it, and it would keep the port. The worker compares --parent for the case that we
        # die before setpriv has asked for that.
        words = ["setpriv", "--pdeathsig", "KILL", "--", *self._command]
        words += ["--slot", str(self.slot), "--parent", str(os.getpid())]
        words += ["--listen", str(self.listening.fileno()), "--ready", str(told)]
        try:
            return _started(words, self._settings, self.listening.fileno(), told)
        except OSError:
            self.forget_ready()
            raise
        finally:
            os.close(told)

    def hear(self) -> None:
        """After `ready_fd` became readable."""
        if self.ready_fd is not None:
            self.ready = os.read(self.ready_fd, 1) != b""
        self.forget_ready()

    def forget_ready(self) -> None:
        """Nothing more is waited for from it."""
        if self.ready_fd is not None:
            os.close(self.ready_fd)
        self.ready_fd = None

    def successor(self) -> "Worker":
        """A worker for the same place, in the other of its two slots."""
        count = self._settings.workers
        slot = (self.slot + count) % (2 * count)
        return Worker(self._settings, self._command, slot, self.listening)


class Migration(Child):
    """The schema brought up to the program as it is installed now, while workers go on.

    It says what it applied on stderr, for stdout has but the one line that tells the address.
    """

    def __init__(self, settings: Settings, command: Sequence[str]) -> None:
        words = ["setpriv", "--pdeathsig", "KILL", "--", *command]
        super().__init__("migration", "the migration", lambda: _started(words, settings, stdout=2))


def _started(
    words: Sequence[str], settings: Settings, *descriptors: int, stdout: int | None = None
) -> "subprocess.Popen[bytes]":
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX)
    }
    # A group of its own: Ctrl-C is for the supervisor, which then drains.
    return subprocess.Popen(
        list(words),
        env={**inherited, **environment(settings)},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        pass_fds=descriptors,
        process_group=0,
    )


def how(code: int) -> str:
    """The end of a process in words."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
