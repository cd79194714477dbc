"""The embedded server: it starts, stops, and comes back after any kind of death."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.config import Settings, StartRefused
from gateway.storage import postmaster
from gateway.storage.data_directory import SERVE, DirectoryInUse, database, held
from gateway.storage.embedded import EmbeddedPostgres, running

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(tmp_path / "data", settings={"shared_buffers": "16MB"})
    yield postgres
    postgres.stop()


def _value(url: str, sql: str) -> object:
    async def ask() -> object:
        conn = await asyncpg.connect(url)
        try:
            return await conn.fetchval(sql)
        finally:
            await conn.close()

    return asyncio.run(ask())


def _wait(condition: Callable[[], bool]) -> None:
    assert postmaster.wait_until(condition, 30), "the deadline has passed"


def test_what_was_committed_is_there_after_stop_and_start(server: EmbeddedPostgres) -> None:
    server.start()
    _value(server.url, "CREATE TABLE toll AS SELECT 42 AS kopecks")
    server.stop()
    assert server.pid is None
    assert running(server.pgdata.parent) is None
    server.start()
    assert _value(server.url, "SELECT kopecks FROM toll") == 42


def test_stopping_twice_or_before_the_start_is_no_error(server: EmbeddedPostgres) -> None:
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_it_starts_again_after_its_own_kill_9(server: EmbeddedPostgres) -> None:
    server.start()
    _value(server.url, "CREATE TABLE toll AS SELECT 42 AS kopecks")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    _wait(lambda: server.pid is None)
    server.start()
    assert _value(server.url, "SELECT kopecks FROM toll") == 42


def test_a_pid_file_whose_number_now_belongs_to_us_does_not_prevent_the_start(
    server: EmbeddedPostgres,
) -> None:
    server.start()
    lines = (server.pgdata / "postmaster.pid").read_text().splitlines()
    server.stop()
    (server.pgdata / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert running(server.pgdata.parent) is None
    server.start()
    assert _value(server.url, "SELECT 1") == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphan_is_left_when_the_parent_dies(tmp_path: Path, how: signal.Signals) -> None:
    script = (
        "import signal; from pathlib import Path\n"
        "from gateway.storage.embedded import EmbeddedPostgres\n"
        f"server = EmbeddedPostgres(Path({str(tmp_path)!r}))\n"
        "server.start(); print(server.pid, flush=True); signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) in postmaster.processes_in(tmp_path / "postgres")
        parent.send_signal(how)
    _wait(lambda: not postmaster.processes_in(tmp_path / "postgres"))
    # It was a clean shutdown: PostgreSQL itself took its pid file away.
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


def test_a_directory_closed_to_others_stays_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    owner = closed.stat()
    server = EmbeddedPostgres(closed / "data")
    server.start()
    try:
        assert _value(server.url, "SELECT 1") == 1
        after = closed.stat()
        assert (after.st_mode, after.st_uid) == (owner.st_mode, owner.st_uid)
        assert server.pgdata.stat().st_mode & 0o777 == 0o700
        uid = Path(f"/proc/{server.pid}").stat().st_uid
        assert uid != 0
        assert server.pgdata.stat().st_uid == uid
    finally:
        server.stop()


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / ("long" * 30))
    server.start()
    try:
        socket_dir = Path(server.url.partition("host=")[2])
        assert len(str(socket_dir)) < 90
        assert socket_dir.stat().st_mode & 0o777 == 0o700
        assert running(server.pgdata.parent) == server.url
        assert _value(server.url, "SELECT 1") == 1
    finally:
        server.stop()
    assert not socket_dir.exists()


def test_a_first_start_that_was_interrupted_is_done_again(server: EmbeddedPostgres) -> None:
    half = server.pgdata.with_name("postgres.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    server.start()
    assert _value(server.url, "SELECT 1") == 1
    assert not half.exists()


def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, settings={"shared_buffers": "no number"})
    with pytest.raises(StartRefused, match="shared_buffers") as refused:
        server.start()
    assert "\n" not in str(refused.value)


def test_a_command_uses_the_database_of_a_serve_and_leaves_it_running(
    server: EmbeddedPostgres,
) -> None:
    data = server.pgdata.parent
    with held(data, SERVE):
        server.start()
        with database(Settings(data=data), "audit") as url:
            assert url == server.url
            assert _value(url, "SELECT 1") == 1
        assert _value(server.url, "SELECT 1") == 1


def test_a_command_starts_the_database_for_itself_and_stops_it(tmp_path: Path) -> None:
    for _ in range(2):
        with database(Settings(data=tmp_path), "audit") as url:
            assert _value(url, "SELECT 1") == 1
        assert running(tmp_path) is None
        assert not postmaster.processes_in(tmp_path / "postgres")


def test_with_a_url_no_server_is_started(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database_url="postgresql://elsewhere/kopeck")
    with database(settings, "audit") as url:
        assert url == settings.database_url
    assert list(tmp_path.iterdir()) == []


def test_commands_at_once_on_one_stopped_directory_follow_each_other(tmp_path: Path) -> None:
    script = (
        "import asyncio, asyncpg; from pathlib import Path\n"
        "from gateway.config import Settings\n"
        "from gateway.storage.data_directory import database\n"
        "async def work(url):\n"
        "    conn = await asyncpg.connect(url)\n"
        "    await conn.execute('CREATE TABLE IF NOT EXISTS done (at int)')\n"
        "    await conn.execute('INSERT INTO done VALUES (1)')\n"
        "    await conn.close()\n"
        f"with database(Settings(data=Path({str(tmp_path)!r})), 'keys') as url:\n"
        "    asyncio.run(work(url))\n"
    )
    commands = [subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) for _ in range(3)]
    assert [command.wait(60) for command in commands] == [0, 0, 0]
    assert (tmp_path / "postgres.log").read_text().count("ready to accept connections") == 3


def test_a_directory_in_use_names_who_uses_it(tmp_path: Path) -> None:
    complaint = pytest.raises(DirectoryInUse, match=r"kopeck serve \(process")
    with held(tmp_path, SERVE), complaint, held(tmp_path, "restore"):
        pass
    with held(tmp_path, "restore"):
        pass


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    complaint = pytest.raises(StartRefused, match="Expected a directory to write to")
    with complaint, held(tmp_path / "file" / "data", SERVE):
        pass


def test_it_needs_no_root(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from gateway.storage import embedded\n"
        f"server = embedded.EmbeddedPostgres(Path({str(tmp_path / 'data')!r}))\n"
        "server.start(); server.stop(); server.start()\n"
        f"print(embedded.running(Path({str(tmp_path / 'data')!r})) == server.url)\n"
        "server.stop()\n"
    )
    ordinary = [sys.executable, "-c", script]
    if os.geteuid() == 0:
        tmp_path.chmod(0o777)
        # The interpreter may stand in root's own home, so this nobody may read everything.
        see = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *see]
        ordinary = [*drop, "--securebits=+no_setuid_fixup", *ordinary]
    done = subprocess.run(ordinary, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
