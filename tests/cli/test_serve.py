"""`kopeck serve` from its start to its end, with a stand-in for the workers."""

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import orjson
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from gateway.demo import wallets
from gateway.storage import postmaster
from gateway.storage.embedded import running

ROOT = Path(__file__).resolve().parents[2]
WORKER = [sys.executable, str(Path(__file__).with_name("stand_in_worker.py"))]
SERVE = f"""
import sys
from gateway import cli, supervisor
supervisor.serve.__defaults__ = ({WORKER!r},)
sys.argv = ["kopeck", *sys.argv[1:]]
cli.main()
"""


class Gateway:
    """A started `kopeck serve`."""

    def __init__(self, process: "subprocess.Popen[str]", data: Path) -> None:
        self.process = process
        self.data = data
        self.port = 0

    def get(self, path: str = "/slot") -> tuple[int, int]:
        """Slot and pid of the worker that answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            slot, pid = connection.getresponse().read().split()
            return int(slot), int(pid)
        finally:
            connection.close()

    def workers(self, count: int) -> dict[int, int]:
        """Slot → pid, once all `count` of them have answered."""
        found: dict[int, int] = {}

        def ask() -> bool:
            try:
                slot, pid = self.get()
            except OSError:
                return False
            found[slot] = pid
            return len(found) == count

        wait_for(ask)
        return found

    def events(self) -> list[str]:
        """What it has said on stderr but of requests, after its end."""
        told = [orjson.loads(line)["event"] for line in self.said().splitlines()]
        return [event for event in told if event != "request"]

    def said(self) -> str:
        """All of stderr, after its end."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    assert postmaster.wait_until(condition, seconds), "the deadline has passed"


def alive(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except OSError:
        return False


@contextmanager
def started(data: Path, *options: str, **environ: str) -> Iterator[Gateway]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", "--data", str(data), *options],
        cwd=ROOT,
        env={**os.environ, **environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    gateway = Gateway(process, data)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.fullmatch(r"kopeck listening on http://127\.0\.0\.1:(\d+)\n", line)
        assert match is not None, (line, process.poll() is not None and gateway.said())
        gateway.port = int(match[1])
        yield gateway
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        wait_for(lambda: not postmaster.processes_in(data / "postgres"))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with started(tmp_path, "--port", "0", "--workers", "2") as running_gateway:
        yield running_gateway


def test_sigterm_lets_workers_finish_and_stops_everything(gateway: Gateway) -> None:
    workers = gateway.workers(2)
    answers: list[tuple[int, int]] = []
    asking = threading.Thread(target=lambda: answers.append(gateway.get("/slow")))
    asking.start()
    wait_for(lambda: _has_connection(gateway.port))
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(30) == 0
    asking.join()
    assert len(answers) == 1
    assert not any(alive(pid) for pid in workers.values())
    assert running(gateway.data) is None
    assert not postmaster.processes_in(gateway.data / "postgres")
    assert gateway.events() == []


@pytest.mark.parametrize("reached", ["lock", "postgres.new", "postgres/postmaster.pid", "metrics"])
def test_sigterm_during_the_start_leaves_nothing_and_is_no_failure(
    tmp_path: Path, reached: str
) -> None:
    words = [sys.executable, "-c", SERVE, "serve", "--port", "0", "--data", str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        wait_for(lambda: (tmp_path / reached).exists())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    wait_for(lambda: not postmaster.processes_in(tmp_path / "postgres"))


def _has_connection(port: int) -> bool:
    wanted = f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(wanted) and row[3] == "01" for row in rows)


def test_a_killed_worker_is_started_again_in_its_slot(gateway: Gateway) -> None:
    before = gateway.workers(2)
    os.kill(before[1], signal.SIGKILL)
    wait_for(lambda: gateway.workers(2)[1] != before[1])
    assert gateway.workers(2)[0] == before[0]
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(30) == 0
    assert gateway.events() == ["worker 1 ended with SIGKILL; again in 0.1 s"]
    assert restarts(gateway.data) == {"worker": 1.0, "postgres": 0.0, "valkey": 0.0}


def restarts(data: Path) -> dict[str, float]:
    """What any worker's /metrics would say of restarts."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(data / "metrics"))  # type: ignore[no-untyped-call]
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    return {
        sample.labels["process"]: sample.value
        for sample in samples
        if sample.name == "kopeck_restarts_total"
    }


def test_a_killed_postgresql_is_started_again(gateway: Gateway) -> None:
    file = postmaster.read_pid_file(gateway.data / "postgres")
    assert file is not None
    os.kill(file.pid, signal.SIGKILL)
    wait_for(lambda: running(gateway.data) is not None and _pid(gateway) != file.pid)
    url = running(gateway.data)
    assert url is not None
    assert asyncio.run(_select_one(url)) == 1
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(30) == 0


def _pid(gateway: Gateway) -> int:
    file = postmaster.read_pid_file(gateway.data / "postgres")
    return 0 if file is None else file.pid


async def _select_one(url: str) -> object:
    conn = await asyncpg.connect(url)
    try:
        return await conn.fetchval("SELECT 1")
    finally:
        await conn.close()


def test_nothing_is_left_when_the_supervisor_is_killed_and_it_starts_again(
    gateway: Gateway,
) -> None:
    workers = gateway.workers(2)
    gateway.process.kill()
    gateway.process.wait()
    wait_for(lambda: not any(alive(pid) for pid in workers.values()))
    # At once on the same port and directory, while PostgreSQL may still be shutting down.
    with started(gateway.data, "--port", str(gateway.port), "--workers", "1") as again:
        again.workers(1)
        again.process.send_signal(signal.SIGTERM)
        assert again.process.wait(30) == 0


def test_a_worker_that_does_not_finish_is_killed_after_the_deadline(tmp_path: Path) -> None:
    deadline = {"KOPECK_STATEMENT_TIMEOUT_MS": "100", "KOPECK_LOCK_TIMEOUT_MS": "100"}
    deadline |= {"KOPECK_COMMIT_DEADLINE_MS": "100", "KOPECK_BODY_TIMEOUT_S": "1"}
    deadline |= {"KOPECK_DRAIN_S": "2", "KOPECK_TEST_DEAF": "1"}
    with started(tmp_path, "--port", "0", "--workers", "1", **deadline) as gateway:
        (pid,) = gateway.workers(1).values()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(30) == 1
        assert not alive(pid)
        assert gateway.events() == ["worker 0 did not finish in time and is killed"]


def _refused(*options: str, **environ: str) -> str:
    """Runs serve to its refusal and returns its one line."""
    done = subprocess.run(
        [sys.executable, "-c", SERVE, "serve", *options],
        cwd=ROOT,
        env={**os.environ, **environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    return done.stderr


def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        line = _refused("--port", str(port), "--data", str(tmp_path))
    assert line == f"kopeck: Expected 127.0.0.1:{port} to be free, was: Address already in use\n"
    assert list(tmp_path.iterdir()) == []


def test_the_port_of_another_gateway_is_busy_too(gateway: Gateway, tmp_path: Path) -> None:
    other = tmp_path / "other"
    line = _refused("--port", str(gateway.port), "--data", str(other))
    assert line.count("\n") == 1
    assert "Address already in use" in line


def test_a_second_serve_on_one_directory_is_refused(gateway: Gateway) -> None:
    line = _refused("--port", "0", "--data", str(gateway.data))
    assert line.count("\n") == 1
    assert "was in use by kopeck serve" in line


def test_a_database_that_may_lose_payments_is_refused(tmp_path: Path, database_url: str) -> None:
    line = _refused("--port", "0", "--data", str(tmp_path), "--database", database_url)
    assert line.count("\n") == 1
    assert "an answered payment could be lost" in line


def test_no_such_database_is_one_line(tmp_path: Path) -> None:
    url = "postgresql://kopeck:hunter2@127.0.0.1:1/kopeck"
    line = _refused("--port", "0", "--data", str(tmp_path), "--database", url)
    assert line.count("\n") == 1
    assert "Expected a database to connect to" in line
    assert "hunter2" not in line


def test_a_wallets_key_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    phone, data = tmp_path / "phone", tmp_path / "data"
    environ = wallets.make(phone).environ
    (phone / "apple-key.pem").write_text("none")
    line = _refused("--port", "0", "--workers", "2", "--data", str(data), **environ)
    assert line.count("\n") == 1
    assert "KOPECK_APPLE_PAY_KEY" in line
    assert not data.exists()


def test_a_worker_that_refuses_ends_the_gateway(tmp_path: Path) -> None:
    line = _refused("--port", "0", "--data", str(tmp_path), KOPECK_TEST_REFUSE="1")
    assert line == ""
    assert not postmaster.processes_in(tmp_path / "postgres")


def test_on_somebody_elses_database_none_is_started(tmp_path: Path, database_url: str) -> None:
    options = ("--port", "0", "--workers", "1", "--database", database_url)
    allowed = {"KOPECK_TEST_ALLOW_NOT_DURABLE": "1"}
    with started(tmp_path, *options, **allowed) as gateway:
        gateway.workers(1)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(30) == 0
    assert list(tmp_path.iterdir()) == []
