"""etcd and the members of a Patroni cluster on this machine, by deploy/postgres/patroni.yml.

Each stands for a machine: killing, freezing or waking one does so to all its processes.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from gateway.storage.embedded import binary
from gateway.storage.postmaster import processes_in
from gateway.storage.server_user import command_prefix, server_user

CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "postgres" / "patroni.yml"
READY_S = 180.0
_ASK_S = 2.0
_POLL_S = 0.05
_PASSWORD = "kp-test-only"
NAMES = ("one", "two")


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"Expected {name} on the PATH, was not there: make ha"
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Etcd:
    """One etcd, for Patroni to agree by."""

    def __init__(self, folder: Path) -> None:
        self.host = f"127.0.0.1:{free_port()}"
        peer = f"http://127.0.0.1:{free_port()}"
        client = f"http://{self.host}"
        words = ["--data-dir", str(folder / "etcd"), "--name", "one"]
        words += ["--listen-client-urls", client, "--advertise-client-urls", client]
        words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        words += ["--initial-cluster", f"one={peer}"]
        with open(folder / "etcd.log", "ab") as log:
            self._process = subprocess.Popen(
                [tool("etcd"), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Member:
    """One Patroni and its PostgreSQL."""

    def __init__(self, folder: Path, name: str, etcd: Etcd) -> None:
        self.name = name
        self.host = f"127.0.0.1:{free_port()}"
        self._rest = f"127.0.0.1:{free_port()}"
        self._folder = folder / name
        self._folder.mkdir()
        self._user = server_user()
        self._user.own(self._folder)
        self.data = self._folder / "data"
        self._environ = {
            "PATRONI_NAME": name,
            "PATRONI_ETCD3_HOSTS": etcd.host,
            "PATRONI_RESTAPI_LISTEN": self._rest,
            "PATRONI_RESTAPI_CONNECT_ADDRESS": self._rest,
            "PATRONI_POSTGRESQL_LISTEN": self.host,
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": self.host,
            "PATRONI_POSTGRESQL_DATA_DIR": str(self.data),
            "PATRONI_POSTGRESQL_BIN_DIR": str(binary("postgres").parent),
            "PATRONI_POSTGRESQL_PGPASS": str(self._folder / "pgpass"),
            "PATRONI_SUPERUSER_USERNAME": "postgres",
            "PATRONI_SUPERUSER_PASSWORD": _PASSWORD,
            "PATRONI_REPLICATION_USERNAME": "replicator",
            "PATRONI_REPLICATION_PASSWORD": _PASSWORD,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        prefix = command_prefix(self._user, (Path(tool("patroni")), binary("postgres"), self.data))
        with open(self._folder / "patroni.log", "ab") as log:
            self._process = subprocess.Popen(
                [*prefix, tool("patroni"), str(CONFIG)],
                cwd="/",
                env={**os.environ, **self._environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def url(self, database: str = "kopeck", user: str = "kopeck") -> str:
        return f"postgresql://{user}:{_PASSWORD}@{self.host}/{database}"

    def processes(self) -> list[int]:
        found = set(processes_in(self.data))
        if self._process is not None and self._process.poll() is None:
            found.add(self._process.pid)
        return sorted(found)

    def signal_all(self, number: int, dice: random.Random) -> None:
        """The whole machine, in any order."""
        pids = self.processes()
        dice.shuffle(pids)
        _signal(pids, number)
        if number == signal.SIGKILL and self._process is not None:
            self._process.wait()
            self._process = None

    def kill_postgres(self, dice: random.Random) -> None:
        """kill -9 of PostgreSQL alone; Patroni sees it."""
        pids = sorted(processes_in(self.data))
        assert pids, "Expected a PostgreSQL to kill"
        dice.shuffle(pids)
        _signal(pids, signal.SIGKILL)

    def ask(self, path: str) -> Any:
        """What Patroni's REST interface answers; None where it does not."""
        try:
            with urllib.request.urlopen(f"http://{self._rest}{path}", timeout=_ASK_S) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def tell(self, path: str, body: Mapping[str, str]) -> None:
        asked = urllib.request.Request(f"http://{self._rest}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(asked, timeout=READY_S) as answer:
            assert answer.status == 200, answer.read()

    def said(self) -> str:
        return (self._folder / "patroni.log").read_text()[-3000:]


class Cluster:
    """Two members; `url` names both."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self._etcd = Etcd(folder)
        self.members = [Member(folder, name, self._etcd) for name in NAMES]
        self._dice = random.Random(60)
        hosts = ",".join(one.host for one in self.members)
        self.url = f"postgresql://kopeck:{_PASSWORD}@{hosts}/kopeck"

    async def start(self) -> None:
        """Returns once there is a synchronous standby, and a database for the gateway."""
        for one in self.members:
            one.start()
        await self.whole()
        leader, _ = self.roles()
        assert leader is not None
        admin = await asyncpg.connect(leader.url("postgres", "postgres"))
        await admin.execute(f"CREATE ROLE kopeck LOGIN PASSWORD '{_PASSWORD}'")
        await admin.execute("CREATE DATABASE kopeck OWNER kopeck")
        await admin.close()

    def roles(self) -> tuple[Member | None, Member | None]:
        """The leader and its synchronous standby, as members tell; None where there is none."""
        names: dict[str, str] = {}
        for one in self.members:
            told = one.ask("/cluster")
            if told is not None:
                names = {
                    member["role"]: member["name"]
                    for member in told["members"]
                    if member["state"] in ("running", "streaming")
                }
                break
        by_name = {one.name: one for one in self.members}
        return by_name.get(names.get("leader", "")), by_name.get(names.get("sync_standby", ""))

    async def whole(self) -> tuple[Member, Member]:
        """Waits until there are a leader and a synchronous standby."""

        def both() -> bool:
            return None not in self.roles()

        await self._until(both, "a leader and a synchronous standby")
        leader, standby = self.roles()
        assert leader is not None
        assert standby is not None
        return leader, standby

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        for _ in range(int(READY_S / _POLL_S)):
            if await asyncio.to_thread(holds):
                return
            await asyncio.sleep(_POLL_S)
        said = "\n".join(one.said() for one in self.members)
        raise AssertionError(f"Expected {what} within {READY_S} s: {said}")

    def stop(self) -> None:
        for one in self.members:
            one.signal_all(signal.SIGKILL, self._dice)
        self._etcd.stop()


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
