"""The gateway and a sandbox bank as child processes, and `kopeck` commands beside it.

Settings of the environment are not passed on: the demo's gateway must never be pointed at
somebody's database, and runs with the defaults that it ships with.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gateway.config import PREFIX, TEST_PREFIX
from gateway.demo.books import DemoFailed, require_equal

WORKERS = 2
_COMMAND = (sys.executable, "-m", "gateway")
_LISTENING = re.compile(r"kopeck(?: sandbox)? listening on (http://\S+)\n")
_STOP_S = 60
_COMMAND_S = 120


class Process:
    """A started process: where it listens, and its end."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.url = url
        self._process = process

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def stop(self) -> None:
        """SIGTERM; DemoFailed unless it finishes what it does and exits 0."""
        self._process.send_signal(signal.SIGTERM)
        require_equal("a process to exit with", self._process.wait(_STOP_S), 0)


def started(
    data: Path, log: Path, environ: Mapping[str, str] | None = None
) -> contextlib.AbstractContextManager[Process]:
    """A gateway on the directory, `environ` its settings; DemoFailed if it cannot start."""
    words = ("serve", "--data", str(data), "--port", "0", "--workers", str(WORKERS))
    # A demo is soon over: it needs no files of the log for two million payments.
    return _started("the gateway", words, log, {"KOPECK_LOG_AHEAD_MB": "0", **(environ or {})})


def sandbox(key: Path, log: Path) -> contextlib.AbstractContextManager[Process]:
    """A sandbox bank, with the key that it and the gateway sign with."""
    words = ("sandbox", "--key", str(key), "--port", "0", "--delay-ms", "50")
    return _started("the sandbox", words, log, {})


@contextlib.contextmanager
def _started(
    what: str, words: Sequence[str], log: Path, settings: Mapping[str, str]
) -> Iterator[Process]:
    """A process that is ended by pid whatever happens.

    It is told to stop if this process dies: nobody else would.
    """
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *_COMMAND, *words],
            env={**_environ(), **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            process_group=0,
        )
    try:
        yield Process(process, _listening(process, what, log))
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


def _listening(process: "subprocess.Popen[str]", what: str, log: Path) -> str:
    """The address out of its first line; it gives up by itself if it cannot start."""
    line = "" if process.stdout is None else process.stdout.readline()
    match = _LISTENING.fullmatch(line)
    if match is None:
        told = log.read_text(encoding="utf-8").strip().splitlines()
        raise DemoFailed(f"Expected {what} to start, it said: {told[-1] if told else line}")
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
