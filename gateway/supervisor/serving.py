"""From settings to a running gateway and back to nothing.

In order: the port, the data directory, PostgreSQL, its durability, the schema, the workers. Each
that fails is one line for whoever started it, before anything later has begun.
"""

import asyncio
import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from gateway import logs
from gateway.config import EMBEDDED, Settings, StartRefused
from gateway.flows.wallets import wallets_of
from gateway.storage import data_directory, log_ahead, postgres
from gateway.storage.embedded import EmbeddedPostgres, url_of
from gateway.storage.migrate import migrate
from gateway.supervisor import metrics, port
from gateway.supervisor.child import Child
from gateway.supervisor.replacing import Replacing
from gateway.supervisor.valkey import EmbeddedValkey
from gateway.supervisor.worker import Migration, Worker, how

WORKER = (sys.executable, "-m", "gateway", "worker")
MIGRATE = (sys.executable, "-m", "gateway", "migrate")

log = logs.logger("kopeck.supervisor")

# A worker that ends with this code says that starting it again would not help.
EXIT_REFUSED = 2
_EXIT_FAILED = 1

# Files of the log that are there before the first payment, as long as they leave most of the disk
# free; a worker makes the rest while nobody pays.
LOG_AHEAD_FIRST_MB = 512
LOG_AHEAD_SHARE = 8
_FIRST_ANSWER_S = 60.0


class _Stopped(BaseException):
    """A signal came while there was nothing to drain yet."""


class _Signals:
    """SIGTERM and SIGINT: they interrupt the start, and wake the loop once that is running.

    SIGHUP asks for new workers, but where a terminal was hung up it ends the gateway as well.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.replace = False
        self.interrupt = True
        self.awake, self._wake = socket.socketpair()
        self.awake.setblocking(False)
        self._wake.setblocking(False)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP and not os.isatty(0):
            self.replace = True
            return
        self.asked += 1
        if self.interrupt:
            self.interrupt = False
            raise _Stopped

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self) for number in numbers}
        fd_before = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(fd_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            self.awake.close()
            self._wake.close()


def serve(settings: Settings, worker: Sequence[str] = WORKER) -> int:
    """Runs the gateway until SIGTERM or SIGINT and returns the exit code.

    0 when every worker finished what it had begun; 1 when one had to be killed, or none ever
    answered; 2 when a worker refused to start. Raises StartRefused when the gateway cannot start as
    asked. `worker` is the command of one worker, to which its slot is added.
    """
    logs.install(settings.log_level, logs.write_now)
    # Every worker reads them for itself; what is wrong is said once, before anything runs.
    wallets_of(settings)
    signals = _Signals()
    with signals.caught(), contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(port.hold(settings.host, settings.port))
            valkey = EmbeddedValkey(stack) if settings.redis_url == EMBEDDED else None
            server = None
            if settings.database_url is None:
                server = stack.enter_context(data_directory.serving(settings.data))
            metrics.fresh_directory(_metrics_directory(settings, stack))
            signals.interrupt = False
            asyncio.run(_prepare(settings, signals))
        except _Stopped:
            return 0
        settings = replace(settings, port=held.getsockname()[1])
        apart = []
        if valkey is not None:
            settings = replace(settings, redis_url=valkey.url)
            apart.append(Child("valkey", "Valkey", valkey.launch))
        return _Supervisor(settings, held, server, worker, signals, apart).run()


async def _prepare(settings: Settings, signals: _Signals) -> None:
    """A database that keeps what it has answered, and the schema of this code.

    A signal cancels this rather than raising in the middle of somebody's await.
    """
    work = asyncio.ensure_future(_check_and_migrate(settings))
    loop = asyncio.get_running_loop()
    loop.add_reader(signals.awake, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        raise _Stopped from None
    finally:
        loop.remove_reader(signals.awake)


async def _check_and_migrate(settings: Settings) -> None:
    conn = await postgres.connect(url_of(settings), "serve")
    try:
        await postgres.assert_durable(conn)
        await migrate(conn)
        if settings.database_url is None:
            free = shutil.disk_usage(settings.data).free
            size = min(settings.log_ahead_mb, LOG_AHEAD_FIRST_MB) * log_ahead.MIB
            await log_ahead.make(conn, min(size, free // LOG_AHEAD_SHARE), _no_pause)
    finally:
        await conn.close()


async def _no_pause() -> None:
    """Nobody waits yet."""


def _metrics_directory(settings: Settings, stack: contextlib.ExitStack) -> Path:
    """Under the data directory where that is ours alone, else a temporary one."""
    if settings.database_url is None:
        return settings.data.absolute() / "metrics"
    made = tempfile.mkdtemp(prefix="kopeck-metrics-")
    stack.callback(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


class _Supervisor:
    """The loop around all children; runs in the main thread, and sleeps while nothing happens."""

    def __init__(
        self,
        settings: Settings,
        held: socket.socket,
        server: EmbeddedPostgres | None,
        worker: Sequence[str],
        signals: _Signals,
        apart: Sequence[Child] = (),
    ) -> None:
        self._settings = settings
        self._held = held  # keeps the port, whatever becomes of those who listen
        self._signals = signals
        self._restarts = metrics.Restarts()
        self._refused = False
        self._draining = False
        self._sockets = port.listening(held, settings.workers)
        self._workers = [
            Worker(settings, worker, slot, one) for slot, one in enumerate(self._sockets)
        ]
        self._replacing = Replacing(
            settings, self._workers, lambda: Migration(settings, MIGRATE), self._start, _say
        )
        self._others = list(apart)
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals.awake, selectors.EVENT_READ)
        if server is not None and server.process is not None:
            database = Child("postgres", "PostgreSQL", server.launch)
            database.adopt(server.process)
            self._watch(database)
            self._others.append(database)

    def run(self) -> int:
        with self._selector:
            answered = self._until_first_answer()
            while answered and not self._ending:
                if self._signals.replace and not self._replacing.under_way:
                    self._signals.replace = False
                    self._replacing.begin()
                self._replacing.move()
                self._turn(self._replacing.wait_s)
            killed = self._drain()
        if self._refused:
            return EXIT_REFUSED
        return _EXIT_FAILED if killed or not (answered or self._signals.asked) else 0

    @property
    def _ending(self) -> bool:
        return self._signals.asked > 0 or self._refused

    def _until_first_answer(self) -> bool:
        deadline = time.monotonic() + _FIRST_ANSWER_S
        while not self._ending:
            self._turn(deadline - time.monotonic())
            if any(worker.ready for worker in self._workers):
                print(f"kopeck listening on http://{port.shown(self._held)}", flush=True)
                return True
            if time.monotonic() >= deadline:
                _say(f"Expected a worker to answer within {_FIRST_ANSWER_S:g} s, none did")
                return False
        return False

    def _drain(self) -> bool:
        """Lets workers finish, then kills the rest; tells whether there was a rest.

        A second signal is somebody's impatience and ends the waiting.
        """
        self._draining = True
        patience = self._signals.asked + 1
        deadline = time.monotonic() + self._settings.drain_s
        if self._replacing.migrating is not None:
            self._replacing.migrating.send(signal.SIGKILL)
        # Nobody shall wait at a port behind which nobody will be.
        for one in self._sockets:
            one.close()
        every = [*self._workers, *self._replacing.extra]
        for child in every:
            child.due_at = None
            child.send(signal.SIGTERM)
        while any(child.alive for child in every):
            if time.monotonic() >= deadline or self._signals.asked > patience:
                break
            self._turn(deadline - time.monotonic())
        rest = [child for child in every if child.alive]
        for child in rest:
            _say(f"{child.name} did not finish in time and is killed")
            child.send(signal.SIGKILL)
            child.reap()
        return bool(rest)

    def _turn(self, timeout_s: float | None) -> None:
        """Starts what is due, then sleeps until something ends, a signal comes, or time is up."""
        now = time.monotonic()
        children = [*self._workers, *self._others]
        for child in children:
            if child.due_at is not None and child.due_at <= now:
                self._start(child)
        waits = [child.due_at - now for child in children if child.due_at is not None]
        if timeout_s is not None:
            waits.append(timeout_s)
        for key, _ in self._selector.select(max(0.0, min(waits)) if waits else None):
            if isinstance(key.data, Child):
                self._ended(key.data)
            elif isinstance(key.data, _Ready):
                self._hear(key.data.worker)
            else:
                with contextlib.suppress(BlockingIOError):
                    self._signals.awake.recv(64)

    def _start(self, child: Child) -> None:
        try:
            child.start()
        except (OSError, StartRefused) as failure:
            again_s = child.schedule()
            _say(f"{child.name} could not be started: {failure}; again in {again_s:g} s")
            return
        self._watch(child)
        if isinstance(child, Worker) and child.ready_fd is not None:
            self._selector.register(child.ready_fd, selectors.EVENT_READ, _Ready(child))

    def _hear(self, worker: Worker) -> None:
        if worker.ready_fd is not None:
            self._selector.unregister(worker.ready_fd)
            worker.hear()

    def _watch(self, child: Child) -> None:
        if child.pidfd is not None:
            self._selector.register(child.pidfd, selectors.EVENT_READ, child)

    def _ended(self, child: Child) -> None:
        if child.pidfd is not None:
            self._selector.unregister(child.pidfd)
        code = child.reap()
        if isinstance(child, Worker):
            self._hear(child)
            child.ready = False
            metrics.forget_slot(child.slot)
        if child not in (*self._workers, *self._others):
            self._replacing.ended(child, code)
            return
        if isinstance(child, Worker):
            if self._draining:
                return
            if code == EXIT_REFUSED:
                self._refused = True
                return
        again_s = child.schedule()
        self._restarts.count(child.kind)
        _say(f"{child.name} ended with {how(code)}; again in {again_s:g} s")


@dataclass(frozen=True)
class _Ready:
    """What the selector wakes for when a worker begins to accept."""

    worker: Worker


def _say(line: str) -> None:
    """For whoever watches the process; payments are never spoken of here."""
    log.warning(line)
