"""The gateway as a child process of its own, and `kopeck` commands beside it.

Settings of the environment are not passed on: the demo's gateway must never be pointed at
somebody's database, and runs with the defaults that it ships with.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.config import PREFIX, TEST_PREFIX
from gateway.demo.books import DemoFailed, require_equal

WORKERS = 2
_COMMAND = (sys.executable, "-m", "gateway")
_LISTENING = re.compile(r"kopeck listening on (http://\S+)\n")
_STOP_S = 60
_COMMAND_S = 120


class Gateway:
    """A started gateway: where it listens, and its end."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.url = url
        self._process = process

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def stop(self) -> None:
        """SIGTERM; DemoFailed unless it drains and exits 0."""
        self._process.send_signal(signal.SIGTERM)
        require_equal("the gateway to exit with", self._process.wait(_STOP_S), 0)


@contextlib.contextmanager
def started(data: Path, log: Path, environ: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """A gateway on the directory, ended by pid whatever happens; DemoFailed if it cannot start.

    `environ` is its settings. It is told to stop if this process dies: nobody else would.
    """
    words = ["setpriv", "--pdeathsig", "TERM", "--", *_COMMAND, "serve", "--data", str(data)]
    words += ["--port", "0", "--workers", str(WORKERS)]
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            words,
            env=_environ() | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            process_group=0,
        )
    try:
        yield Gateway(process, _listening(process, log))
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_S)
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _listening(process: "subprocess.Popen[str]", log: Path) -> str:
    """The address out of its first line; it gives up by itself if it cannot start."""
    line = "" if process.stdout is None else process.stdout.readline()
    match = _LISTENING.fullmatch(line)
    if match is None:
        told = log.read_text(encoding="utf-8").strip().splitlines()
        raise DemoFailed(f"Expected the gateway to start, it said: {told[-1] if told else line}")
    return match[1]


def add_key(data: Path, name: str, role: str) -> str:
    """`kopeck keys add`: the secret that it prints once."""
    return _run("keys", "add", name, "--role", role, "--data", str(data)).strip()


def audit(data: Path) -> str:
    """`kopeck audit`: its JSON line; DemoFailed unless it exits 0."""
    return _run("audit", "--data", str(data)).strip()


def _run(*words: str) -> str:
    done = subprocess.run(
        [*_COMMAND, *words], env=_environ(), capture_output=True, text=True, timeout=_COMMAND_S
    )
    if done.returncode != 0:
        told = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise DemoFailed(
            f"Expected kopeck {words[0]} to exit 0, was {done.returncode}: "
            f"{told[-1] if told else 'nothing said'}"
        )
    return done.stdout


def _environ() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX)
    }
