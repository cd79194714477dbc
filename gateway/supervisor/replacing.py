"""Workers replaced one after another: the next accepts before the one before lets its callers go.

A machine of few states, moved on by the supervisor's loop; it starts, signals, and never waits.
"""

import signal
import time
from collections.abc import Callable

from gateway.config import Settings
from gateway.supervisor.child import Child
from gateway.supervisor.worker import Migration, Worker

# For a schema; payments go on meanwhile.
MIGRATION_S = 3_600.0
READY_S = 60.0


class Replacing:
    """`workers` is changed in place; `start` begins a child and sees to it that its end is told."""

    def __init__(
        self,
        settings: Settings,
        workers: list[Worker],
        migration: Callable[[], Migration],
        start: Callable[[Child], None],
        say: Callable[[str], None],
    ) -> None:
        self._patience_s = float(settings.keepalive_s + settings.body_timeout_s + settings.drain_s)
        self._workers = workers
        self._migration = migration
        self._start = start
        self._say = say
        self._left: list[int] = []
        # Who is being waited for, and until when, by the monotonic clock.
        self._migrating: Migration | None = None
        self._coming: Worker | None = None
        self._going: Worker | None = None
        self._until = 0.0

    @property
    def under_way(self) -> bool:
        """Whether there is somebody to wait for, or a worker left to be replaced."""
        return bool(self._left) or self._waited_for is not None

    @property
    def extra(self) -> list[Worker]:
        """Workers that live beside those of the places."""
        return [one for one in (self._coming, self._going) if one is not None]

    @property
    def migrating(self) -> Migration | None:
        """The migration, while it runs."""
        return self._migrating

    @property
    def wait_s(self) -> float | None:
        """How long the loop may sleep; None where nothing has a deadline."""
        return None if self._waited_for is None else max(0.0, self._until - time.monotonic())

    @property
    def _waited_for(self) -> Child | None:
        return self._migrating or self._coming or self._going

    def begin(self) -> None:
        """First the schema, then every worker."""
        self._migrating = self._migration()
        self._wait(self._migrating, MIGRATION_S)
        self._start(self._migrating)
        if not self._migrating.alive:
            self._give_up("the migration could not be started")

    def ended(self, child: Child, code: int) -> None:
        """The end of a child that is waited for."""
        if child is self._migrating:
            self._migrating = None
            if code == 0:
                self._left = list(range(len(self._workers)))
            else:
                self._give_up("the schema could not be brought up to the program")
        elif child is self._coming:
            self._coming = None
            self._give_up("the new worker ended before it served")
        elif child is self._going:
            self._going = None

    def move(self) -> None:
        """Takes the next step, if its time has come."""
        if self._coming is not None and self._coming.ready:
            self._swap(self._coming)
        waited_for = self._waited_for
        if waited_for is not None:
            if time.monotonic() >= self._until:
                self._say(f"{waited_for.name} did not finish in time and is killed")
                waited_for.send(signal.SIGKILL)
                self._until = time.monotonic() + READY_S
        elif self._left:
            self._coming = self._workers[self._left[0]].successor()
            self._wait(self._coming, READY_S)
            self._start(self._coming)
            if not self._coming.alive:
                self._coming = None
                self._give_up("the new worker could not be started")

    def _swap(self, new: Worker) -> None:
        place = self._left.pop(0)
        old = self._workers[place]
        self._workers[place], self._coming = new, None
        old.due_at = None
        if old.alive:
            self._going = old
            self._wait(old, self._patience_s)
            old.send(signal.SIGHUP)

    def _wait(self, child: Child, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        child.due_at = None

    def _give_up(self, why: str) -> None:
        self._left.clear()
        self._migrating = self._coming = None
        self._say(f"workers stay as they were: {why}")
