"""What is known of a PostgreSQL server from outside: its pid file, its processes, its socket.

Nothing here starts a server or connects to a database; `embedded.py` does.
"""

import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

USER = "kopeck"
DATABASE = "kopeck"
PORT = 5432  # Only names the socket file, as there is no TCP.

_POLL_S = 0.02
_ANSWER_S = 2.0
# An SSLRequest of the wire protocol: the server answers one byte, before any authentication.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
# Deadlines of the three ways to stop, gentle first. Fast shutdown writes a checkpoint, so it may
# take long on a slow disk; an immediate one writes nothing.
_FAST_S = 60.0
_IMMEDIATE_S = 10.0
_KILL_S = 10.0


@dataclass(frozen=True)
class PidFile:
    """The lines of postmaster.pid that matter to us; `ready` is PostgreSQL's own word for it."""

    pid: int
    socket_dir: Path
    ready: bool


def read_pid_file(pgdata: Path) -> PidFile | None:
    """None when there is no file, or it is not complete yet."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    if len(lines) < 5 or not lines[0].isdecimal():
        return None
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return PidFile(int(lines[0]), Path(lines[4]), ready)


def processes_in(pgdata: Path) -> set[int]:
    """Pids of all PostgreSQL processes of `pgdata`: each of them has it as its working directory.

    The pid in postmaster.pid alone proves nothing: after a crash the number may belong to another
    program, and backends may outlive their postmaster. A process that is dead but not yet reaped
    has no working directory, so it does not count.
    """
    wanted = str(pgdata.resolve())
    found = set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            at = os.readlink(f"/proc/{entry.name}/cwd")
            program = os.path.basename(os.readlink(f"/proc/{entry.name}/exe"))
        except OSError:
            continue
        if at == wanted and program.removesuffix(" (deleted)") == "postgres":
            found.add(int(entry.name))
    return found


def live_postmaster(pgdata: Path) -> PidFile | None:
    """The pid file, if the server that wrote it is still there."""
    file = read_pid_file(pgdata)
    if file is None or file.pid not in processes_in(pgdata):
        return None
    return file


def answers(socket_dir: Path) -> bool:
    """Whether a server accepts connections there and forks a backend that answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_ANSWER_S)
            probe.connect(str(socket_dir / f".s.PGSQL.{PORT}"))
            probe.sendall(_SSL_REQUEST)
            return probe.recv(1) in (b"N", b"S")
    except OSError:
        return False


def url_at(socket_dir: Path) -> str:
    """The URL that asyncpg, and libpq too, understand."""
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(socket_dir))}"


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls `condition` until it holds or the deadline has passed; tells which."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def stop_server(pid: int, gone: Callable[[], bool]) -> None:
    """Fast shutdown, then an immediate one, then a kill, each with its deadline."""
    for number, seconds in (
        (signal.SIGINT, _FAST_S),
        (signal.SIGQUIT, _IMMEDIATE_S),
        (signal.SIGKILL, _KILL_S),
    ):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        if wait_until(gone, seconds):
            return


def clear_leftovers(pgdata: Path) -> None:
    """Makes `pgdata` startable after any kind of death; the caller holds the directory's lock.

    A postmaster found here has lost its owner and is shutting down by itself, or is asked to.
    Backends of a killed postmaster leave when they notice; one that does not is killed, as
    PostgreSQL refuses to start beside it. Both are safe: the write-ahead log has what they did.
    """
    wait_until(lambda: not processes_in(pgdata), 5.0)
    postmaster = live_postmaster(pgdata)
    if postmaster is not None:
        stop_server(postmaster.pid, lambda: not processes_in(pgdata))
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for pid in processes_in(pgdata):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        if wait_until(lambda: not processes_in(pgdata), 5.0):
            break
    # The number in a stale file may by now belong to another process of ours, and PostgreSQL
    # would take that one for a running server.
    if live_postmaster(pgdata) is None:
        (pgdata / "postmaster.pid").unlink(missing_ok=True)
