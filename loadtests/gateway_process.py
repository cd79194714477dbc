"""`kopeck serve` as its owner starts it, with a region in it, and stopped at the end.

Settings are the product's own unless KOPECK_ variables of the environment change them.
"""

import contextlib
import dataclasses
import http.client
import itertools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from gateway import config
from gateway.storage import embedded
from loadtests import households

ROOT = Path(__file__).resolve().parents[1]
KOPECK = (sys.executable, "-m", "gateway")
STOP_S = 60.0
# Settings that are numbers, but are told apart or by chance.
NOT_LIMITS = {"port", "workers"}
ANSWER_S = 300.0
_LISTENING = re.compile(r"kopeck listening on http://127\.0\.0\.1:(\d+)\n")


@dataclass
class Gateway:
    """A running gateway: its port, its own PostgreSQL, the secrets of an acquirer and operator.

    `process_id` is the supervisor's, whose children the workers are.
    """

    port: int
    database_url: str
    acquirer: str = field(repr=False)
    operator: str = field(repr=False)
    accounts: int = 0
    process_id: int = 0
    _keys: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, method: str, path: str, body: Any, secret: str = "") -> Any:
        """One request that must succeed, of the operator unless another secret is given."""
        if isinstance(body, bytes):
            return self._send(method, path, body, "application/x-ndjson", secret)
        return self._send(method, path, orjson.dumps(body), "application/json", secret)

    def send_file(self, path: str, content: bytes) -> Any:
        """A file of the acquirer's, which must be taken."""
        return self._send("POST", path, content, "application/octet-stream", self.acquirer)

    def _send(self, method: str, path: str, content: bytes, kind: str, secret: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request(
                method,
                path,
                content,
                {
                    "Authorization": f"Bearer {secret or self.operator}",
                    "Idempotency-Key": f"bench-{next(self._keys)}",
                    "Content-Type": kind,
                },
            )
            response = connection.getresponse()
            answer = orjson.loads(response.read())
            if response.status not in (200, 201):
                raise RuntimeError(f"Expected 200 or 201 of {path}, was {answer}")
            return answer
        finally:
            connection.close()

    def add_recipients(self, companies: int = households.COMPANIES) -> None:
        """Make known everyone whom the bills of `households` name."""
        for body in households.recipients(companies):
            id_ = body.pop("id")
            self.send("PUT", f"/v1/recipients/{id_}", body)

    def load_bills(self, content: bytes, count: int) -> None:
        """Load bills of further accounts, a JSON object a line."""
        self.load_bills_apart(content, count)
        self.accounts += count

    def load_bills_apart(self, content: bytes, count: int) -> None:
        """Load bills of accounts that are not among the `accounts` which everybody pays for."""
        loaded = self.send("POST", "/v1/bills", content)
        if loaded["accepted"] != count:
            raise RuntimeError(f"Expected {count} bills accepted, was {loaded}")


@contextlib.contextmanager
def running_gateway(
    workers: int, folder: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Gateway]:
    """A gateway on a fresh directory below `folder`, by default the system's temporary one.

    `settings` are further KOPECK_ variables.
    """
    data = Path(tempfile.mkdtemp(prefix="kopeck-load-", dir=folder))
    try:
        with gateway_on(data, workers, settings=settings) as gateway:
            gateway.add_recipients()
            yield gateway
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _allow_many_connections() -> None:
    """As many open files as the system lets us have, for us and whom we start."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def gateway_on(
    data: Path, workers: int, accounts: int = 0, settings: Mapping[str, str] | None = None
) -> Iterator[Gateway]:
    """A gateway on a directory that stays, and that has open bills of so many accounts.

    `settings` are further KOPECK_ variables.
    """
    _allow_many_connections()
    with _served(workers, data, settings or {}) as (process_id, port):
        url = embedded.running(data)
        if url is None:
            raise RuntimeError("Expected the gateway's PostgreSQL to run, it did not")
        acquirer, operator = (_key(role, data) for role in ("acquirer", "operator"))
        yield Gateway(port, url, acquirer, operator, accounts, process_id)


@contextlib.contextmanager
def _served(workers: int, data: Path, settings: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    # The kernel stops the gateway should we be killed.
    words = ["setpriv", "--pdeathsig", "TERM", "--", *KOPECK, "serve", "--port", "0"]
    process = subprocess.Popen(
        [*words, "--workers", str(workers), "--data", str(data)],
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        listening = _LISTENING.fullmatch(line)
        if listening is None:
            raise RuntimeError(f"Expected the gateway to listen, was {line!r}")
        yield process.pid, int(listening[1])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def _key(role: str, data: Path) -> str:
    words = [*KOPECK, "keys", "add", f"bench-{role}", "--role", role, "--data", str(data)]
    done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def settings_in_force(**settings: str) -> dict[str, Any]:
    """The gateway's limits, as this environment and `settings` make them; no URL, no path."""
    read = config.read({**os.environ, **settings})
    return {
        one.name: value
        for one in dataclasses.fields(read)
        if type(value := getattr(read, one.name)) is int and one.name not in NOT_LIMITS
    }
