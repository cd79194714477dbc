"""Who may run a server on a data directory, and how a command gets at its database.

One lock says who runs the server: `kopeck serve` for as long as it serves, a command for as long as
it works. It is the kernel's lock on a file, so it is free again after any kind of death.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gateway.config import Settings, StartRefused
from gateway.storage.embedded import EmbeddedPostgres, pgdata_of, running

SERVE = "serve"

# A second command waits for the first, which takes a moment unless it is a backup or an audit.
_WAIT_S = 60.0
_POLL_S = 0.05


class DirectoryInUse(StartRefused):
    """Another process runs the server of this directory; `purpose` is what it does."""

    def __init__(self, data: Path, holder: str) -> None:
        super().__init__(f"Expected {data} to be free, was in use by kopeck {holder or 'command'}")
        self.purpose = holder.partition(" ")[0]


@contextlib.contextmanager
def held(data: Path, purpose: str) -> Iterator[None]:
    """Holds the directory for `purpose` (`serve`, or a command's name), or raises DirectoryInUse.

    The directory is made when it does not exist.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as failure:
        raise StartRefused(
            f"Expected a directory to write to, was {data}: {failure.strerror}"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(data, os.pread(lock, 100, 0).decode(errors="replace")) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{purpose} (process {os.getpid()})".encode(), 0)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def serving(data: Path) -> Iterator[EmbeddedPostgres]:
    """The started server of a `kopeck serve`, stopped at the end.

    Waits for a command that works on the directory; raises DirectoryInUse for another serve.
    """
    with contextlib.ExitStack() as stack:
        if _hold_or_reach(data, SERVE, stack) is not None:
            raise DirectoryInUse(data, SERVE)
        yield _started(data, stack)


@contextlib.contextmanager
def database(settings: Settings, purpose: str, *, made: bool = False) -> Iterator[str]:
    """URL of the database that a command works on.

    With `database_url` that one. Otherwise the one in the data directory: through the socket of the
    serve that runs there, or of a server started here and stopped at the end. Two commands on one
    directory follow each other. StartRefused where the database must be `made` already and is not:
    an audit or a backup of a mistyped directory would prove nothing.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    if made and not (pgdata_of(settings.data) / "PG_VERSION").exists():
        raise StartRefused(f"Expected a database in {settings.data}, was none")
    with contextlib.ExitStack() as stack:
        url = _hold_or_reach(settings.data, purpose, stack)
        yield url if url is not None else _started(settings.data, stack).url


def _hold_or_reach(data: Path, purpose: str, stack: contextlib.ExitStack) -> str | None:
    """URL of the serve that runs on `data`, or None when it is ours to run, until `stack` ends."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            stack.enter_context(held(data, purpose))
        except DirectoryInUse as busy:
            url = running(data) if busy.purpose == SERVE else None
            if url is not None:
                return url
            if time.monotonic() >= deadline:
                raise
            time.sleep(_POLL_S)
        else:
            return None


def _started(data: Path, stack: contextlib.ExitStack) -> EmbeddedPostgres:
    postgres = EmbeddedPostgres(data)
    stack.callback(postgres.stop)
    postgres.start()
    return postgres
