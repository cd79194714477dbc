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
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from gateway import logs
from gateway.config import PREFIX, TEST_PREFIX, Settings, StartRefused, environment
from gateway.flows.wallets import wallets_of
from gateway.storage import data_directory, log_ahead, postgres
from gateway.storage.embedded import EmbeddedPostgres, url_of
from gateway.storage.migrate import migrate
from gateway.supervisor import metrics, port
from gateway.supervisor.child import Child

WORKER = (sys.executable, "-m", "gateway", "worker")

log = logs.logger("kopeck.supervisor")

# A worker that ends with this code says that starting it again would not help.
EXIT_REFUSED = 2
_EXIT_FAILED = 1

# Files of the log that are there before the first payment, as long as they leave most of the disk
# free; a worker makes the rest while nobody pays.
LOG_AHEAD_FIRST_MB = 512
LOG_AHEAD_SHARE = 8
_FIRST_ANSWER_S = 60.0
_ANSWER_POLL_S = 0.05


class _Stopped(BaseException):
    """A signal came while there was nothing to drain yet."""


class _Signals:
    """SIGTERM and SIGINT: they interrupt the start, and wake the loop once that is running."""

    def __init__(self) -> None:
        self.asked = 0
        self.interrupt = True
        self.awake, self._wake = socket.socketpair()
        self.awake.setblocking(False)
        self._wake.setblocking(False)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        if self.interrupt:
            self.interrupt = False
            raise _Stopped

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        numbers = (signal.SIGTERM, signal.SIGINT)
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
            server = None
            if settings.database_url is None:
                server = stack.enter_context(data_directory.serving(settings.data))
            metrics.fresh_directory(_metrics_directory(settings, stack))
            signals.interrupt = False
            asyncio.run(_prepare(settings, signals))
        except _Stopped:
            return 0
        settings = replace(settings, port=held.getsockname()[1])
        return _Supervisor(settings, held, server, worker, signals).run()


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
    ) -> None:
        self._settings = settings
        self._held = held
        self._signals = signals
        self._restarts = metrics.Restarts()
        self._refused = False
        self._draining = False
        self._workers = [
            Child("worker", f"worker {slot}", _Launch(settings, worker, slot))
            for slot in range(settings.workers)
        ]
        self._children = list(self._workers)
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals.awake, selectors.EVENT_READ)
        if server is not None and server.process is not None:
            database = Child("postgres", "PostgreSQL", server.launch)
            database.adopt(server.process)
            self._watch(database)
            self._children.append(database)

    def run(self) -> int:
        with self._selector:
            answered = self._until_first_answer()
            while answered and not self._ending:
                self._turn(None)
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
            self._turn(_ANSWER_POLL_S)
            if port.answers(self._held):
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
        for child in self._workers:
            child.due_at = None
            child.send(signal.SIGTERM)
        while any(child.alive for child in self._workers):
            if time.monotonic() >= deadline or self._signals.asked > patience:
                break
            self._turn(deadline - time.monotonic())
        rest = [child for child in self._workers if child.alive]
        for child in rest:
            _say(f"{child.name} did not finish in time and is killed")
            child.send(signal.SIGKILL)
            child.reap()
        return bool(rest)

    def _turn(self, timeout_s: float | None) -> None:
        """Starts what is due, then sleeps until something ends, a signal comes, or time is up."""
        now = time.monotonic()
        for child in self._children:
            if child.due_at is not None and child.due_at <= now:
                self._start(child)
        waits = [child.due_at - now for child in self._children if child.due_at is not None]
        if timeout_s is not None:
            waits.append(timeout_s)
        for key, _ in self._selector.select(max(0.0, min(waits)) if waits else None):
            if isinstance(key.data, Child):
                self._ended(key.data)
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

    def _watch(self, child: Child) -> None:
        if child.pidfd is not None:
            self._selector.register(child.pidfd, selectors.EVENT_READ, child)

    def _ended(self, child: Child) -> None:
        if child.pidfd is not None:
            self._selector.unregister(child.pidfd)
        code = child.reap()
        is_worker = child in self._workers
        if is_worker:
            metrics.forget_slot(self._workers.index(child))
            if self._draining:
                return
            if code == EXIT_REFUSED:
                self._refused = True
                return
        again_s = child.schedule()
        self._restarts.count(child.kind)
        _say(f"{child.name} ended with {_how(code)}; again in {again_s:g} s")


class _Launch:
    """Starts one worker: its settings go through the environment, its slot on the command line."""

    def __init__(self, settings: Settings, worker: Sequence[str], slot: int) -> None:
        # The kernel kills a worker whose supervisor is gone: nobody would be left to restart or to
        # drain it, and it would keep the port. The worker compares --parent for the case that we
        # die before setpriv has asked for that.
        self._words = ["setpriv", "--pdeathsig", "KILL", "--", *worker]
        self._words += ["--slot", str(slot), "--parent", str(os.getpid())]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX)
        }
        self._environ = {**inherited, **environment(settings)}

    def __call__(self) -> "subprocess.Popen[bytes]":
        # A group of its own: Ctrl-C is for the supervisor, which then drains.
        return subprocess.Popen(
            self._words, env=self._environ, stdin=subprocess.DEVNULL, process_group=0
        )


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _say(line: str) -> None:
    """For whoever watches the process; payments are never spoken of here."""
    log.warning(line)
