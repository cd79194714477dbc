"""The processes that are killed: `kopeck serve` with its workers, and PostgreSQL."""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import asyncpg

from gateway.config import PREFIX
from gateway.storage import postmaster
from gateway.storage.embedded import EmbeddedPostgres
from tests.faults.payers import until

ROOT = Path(__file__).resolve().parents[2]
SERVING_AGAIN_S = 60.0
REPLACED_S = 90.0
COMMAND_S = 120.0
# As small as a test needs; nothing about durability differs from the product.
SMALL = {"shared_buffers": "64MB", "max_wal_size": "512MB", "min_wal_size": "32MB"}


class Gateway:
    """`kopeck serve`, started again and again on one port."""

    def __init__(
        self, folder: Path, *options: str, host: str = "127.0.0.1", **environ: str
    ) -> None:
        self.host = host
        self.port = 0
        self._options = options
        self._folder = folder
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(PREFIX)}
        self._environ = {
            **inherited,
            # Another path here starts another program: one that was released before.
            "PYTHONPATH": str(ROOT),
            **environ,
            # What a killed process leaves behind goes with the test's directory.
            "TMPDIR": str(folder),
        }
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Returns once a worker answers."""
        output = self._launch()
        line = await asyncio.wait_for(asyncio.to_thread(output.readline), SERVING_AGAIN_S)
        match = re.fullmatch(rf"kopeck listening on http://{re.escape(self.host)}:(\d+)\n", line)
        assert match is not None, f"{line!r}: {self.said()}"
        self.port = int(match[1])

    def _launch(self) -> IO[str]:
        words = [sys.executable, "-m", "gateway", "serve"]
        words += ["--host", self.host, "--port", str(self.port)]
        with open(self._folder / "serve.log", "ab") as log:
            self._process = subprocess.Popen(
                [*words, *self._options],
                cwd=self._folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        return self._process.stdout

    def workers(self) -> list[int]:
        return [pid for pid, parent in _parents().items() if parent == self.pid and _python(pid)]

    def kill(self, dice: random.Random) -> None:
        """kill -9 of the supervisor and all workers, in any order."""
        pids = [self.pid, *self.workers()]
        dice.shuffle(pids)
        for pid in pids:
            _kill(pid)
        self._reap()

    async def kill_worker(self, dice: random.Random, workers: int) -> None:
        """kill -9 of one worker; returns once the supervisor has started another."""
        before = self.workers()
        _kill(dice.choice(before))
        await until(
            lambda: len(set(self.workers()) - set(before)) == 1 and len(self.workers()) == workers,
            SERVING_AGAIN_S,
            "a worker in place of the killed one",
        )

    async def replace_workers(self) -> None:
        """SIGHUP; returns once each worker was replaced and is gone."""
        before = set(self.workers())
        os.kill(self.pid, signal.SIGHUP)
        await until(
            lambda: not before & set(self.workers()) and len(self.workers()) == len(before),
            REPLACED_S,
            "new workers in place of the old ones",
        )

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self._process.wait, 60)
        self._reap()
        return code

    def stop(self) -> None:
        """However the test ended, nothing of it stays."""
        if self._process is not None:
            self.kill(random.Random(0))

    def said(self) -> str:
        return (self._folder / "serve.log").read_text()[-2000:]

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


class Database:
    """A PostgreSQL that is killed and started again; durable unless `settings` say otherwise."""

    def __init__(self, data: Path, settings: Mapping[str, str] | None = None) -> None:
        self._postgres = EmbeddedPostgres(data, settings={**SMALL, **(settings or {})})
        self._postgres.start()
        self.url = self._postgres.url

    def kill(self, dice: random.Random) -> None:
        """kill -9 of the postmaster and of every other process, in any order."""
        kill_tree(self._postgres.pgdata, dice)

    def kill_postmaster(self) -> None:
        """kill -9 of the postmaster alone: the others notice, and leave by themselves."""
        assert self._postgres.pid is not None
        _kill(self._postgres.pid)

    async def kill_one(self, dice: random.Random) -> None:
        """kill -9 of one process but the postmaster, which then starts all the others again."""
        postmaster_pid = self._postgres.pid
        assert postmaster_pid is not None
        others = postmaster.processes_in(self._postgres.pgdata) - {postmaster_pid}
        _kill(dice.choice(sorted(others)))
        await until(
            lambda: not others & postmaster.processes_in(self._postgres.pgdata),
            10,
            "the end of every process beside the killed one",
        )
        await self._ready()

    async def start_again(self) -> None:
        await until(lambda: self._postgres.pid is None, 10, "the end of the killed postmaster")
        self._postgres.launch()
        await self._ready()

    async def _ready(self) -> None:
        await until(self._postgres.ready, SERVING_AGAIN_S, "PostgreSQL")

    async def checkpoint(self) -> None:
        conn = await asyncpg.connect(self.url)
        try:
            await conn.execute("CHECKPOINT")
        finally:
            await conn.close()

    def stop(self) -> None:
        self._postgres.stop()


def kopeck(*words: str) -> "subprocess.CompletedProcess[str]":
    """A command of today's, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


def kill_tree(pgdata: Path, dice: random.Random) -> None:
    """kill -9 of every process of the PostgreSQL on `pgdata`, in any order."""
    pids = sorted(postmaster.processes_in(pgdata))
    assert pids, "Expected a PostgreSQL to kill"
    dice.shuffle(pids)
    for pid in pids:
        _kill(pid)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _parents() -> dict[int, int]:
    """Parent by pid, of all processes that are not dead."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            state, parent = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            found[int(entry.name)] = int(parent)
    return found


def _python(pid: int) -> bool:
    """Not PostgreSQL, and not the setpriv that is about to become a worker."""
    try:
        return "python" in os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False
