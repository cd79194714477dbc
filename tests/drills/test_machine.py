"""Drills of the machine: processes that end, a disk that fills, connections and replicas."""

import os
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.config import Settings
from gateway.storage import data_directory, postmaster
from gateway.storage.embedded import EmbeddedPostgres, binary, pgdata_of
from gateway.storage.migrate import migrate
from gateway.storage.server_user import server_user
from tests.drills.on_call import Drill, drilled, fires, promtool
from tests.faults import processes
from tests.rules.test_watching import expressions, selected

SMALL = {"shared_buffers": "16MB", "max_wal_size": "512MB", "min_wal_size": "32MB"}
MEGABYTE = 1024 * 1024
# What Prometheus itself adds, and what is there once somebody starts a payment at an acquirer.
FROM_ELSEWHERE = {"up", "kopeck_authorisations_total"}


@pytest.fixture(autouse=True)
def seen() -> Iterator[None]:
    """Says loudly, once the drill is over, that nobody looked whether the alert fires."""
    yield
    if promtool() is None:
        pytest.skip("FOLLOWED, BUT THE ALERT WAS NOT SEEN: no promtool on the PATH")


def taken_bundles(folder: Path) -> int:
    """How many support bundles there were; they are gone then."""
    found = list(folder.glob("support-*.tar.gz"))
    for bundle in found:
        bundle.unlink()
    return len(found)


def fill(path: Path, count: int) -> None:
    """A file that really takes so many bytes."""
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, count)


async def migrated(url: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        await migrate(conn)
    finally:
        await conn.close()


async def test_processes_that_end_and_a_gateway_that_is_gone(tmp_path: Path) -> None:
    gateway = processes.Gateway(tmp_path, "--data", str(tmp_path / "var"), "--workers", "1")
    restarts = 'kopeck_restarts_total{process="worker"}'
    dice = random.Random(1)
    try:
        await gateway.start()
        where = {"KOPECK_DATA": str(tmp_path / "var"), "KOPECK_PORT": str(gateway.port)}
        drill = Drill(f"http://127.0.0.1:{gateway.port}", tmp_path, **where)
        # Both loops have had their look.
        awaited = ("kopeck_database_connections_max", "kopeck_ledger_proved_timestamp_seconds")
        before = await drill.until(lambda m: all(m.get(name, 0) > 0 for name in awaited))
        shown = {name.partition("{")[0] for name in before} | FROM_ELSEWHERE
        named = {name for expr in expressions() for name in selected(expr) if ":" not in name}
        assert named - shown == set(), "metrics that rules or dashboards name and nobody shows"
        assert fires("ProcessRestarting", before) in (False, None)
        assert fires("GatewayDown", before) in (False, None)
        for _ in range(4):
            await gateway.kill_worker(dice, 1)
        after = await drill.until(lambda m: m.get(restarts, 0) >= 4)
        assert fires("ProcessRestarting", after, before) in (True, None)
        await drill.follow("ProcessRestarting")
        assert taken_bundles(tmp_path) == 1
        await gateway.terminate()
        gone = await drill.metrics()
        assert fires("GatewayDown", gone) in (True, None)
        await drill.follow("GatewayDown")
        assert taken_bundles(tmp_path) == 1
        await gateway.start()
        assert fires("GatewayDown", await drill.metrics()) in (False, None)
    finally:
        gateway.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 MB; needs root, as mounting does."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=300m,mode=0755", "kopeck-drill", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"DiskFilling WAS NOT DRILLED: no disk could be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_disk_that_fills(small_disk: Path, tmp_path: Path) -> None:
    data = small_disk / "var"
    free = 'kopeck_disk_free_bytes{disk="data"}'
    settings = Settings(data=data, workers=1, pool_min=1, pool_max=4)
    with data_directory.serving(data) as embedded:
        await migrated(embedded.url)
        where = {"KOPECK_DATA": str(data)}
        async with drilled(embedded.url, tmp_path, settings=settings) as (drill, _):
            drill = Drill(drill.url, tmp_path, **where)
            roomy = await drill.until(lambda m: m.get(free, 0) > 0)
            assert fires("DiskFilling", roomy) in (False, None)
            left = int(roomy[free]) - 20 * MEGABYTE
            backup = small_disk / "old-backup"
            fill(backup, left)
            filled = await drill.until(lambda m: m[free] < 30 * MEGABYTE)
            assert fires("DiskFilling", filled) in (True, None)
            assert fires("DiskFullSoon", filled, roomy) in (True, None)
            await drill.follow("DiskFullSoon")
            await drill.follow("DiskFilling")
            # As the page says of backups on the same disk.
            backup.unlink()
            mended = await drill.until(lambda m: m[free] > 100 * MEGABYTE)
            assert fires("DiskFilling", mended) in (False, None)
            assert fires("DiskFullSoon", mended) in (False, None)


@asynccontextmanager
async def connections(url: str, count: int) -> AsyncIterator[list[asyncpg.Connection]]:
    """Idle connections of somebody who forgot them."""
    made = [
        await asyncpg.connect(url, server_settings={"application_name": "spreadsheet"})
        for _ in range(count)
    ]
    try:
        yield made
    finally:
        for conn in made:
            conn.terminate()


async def test_connections_that_somebody_forgot(tmp_path: Path) -> None:
    name = "kopeck_database_connections"
    postgres = EmbeddedPostgres(
        tmp_path / "pg", durable=False, settings={**SMALL, "max_connections": "60"}
    )
    postgres.start()
    try:
        await migrated(postgres.url)
        async with drilled(postgres.url, tmp_path) as (drill, _):
            calm = await drill.until(lambda m: m[name] > 0)
            assert fires("ConnectionsExhausted", calm) in (False, None)
            # With the gateway's four and the page's one there is just room.
            async with connections(postgres.url, 54):
                crowded = await drill.until(lambda m: m[name] > 54)
                assert fires("ConnectionsExhausted", crowded) in (True, None)
                told = await drill.follow("ConnectionsExhausted")
                assert "spreadsheet" in told
                mended = await drill.until(lambda m: m[name] < 40)
                assert fires("ConnectionsExhausted", mended) in (False, None)
    finally:
        postgres.stop()


def standby_of(primary: EmbeddedPostgres, data: Path) -> EmbeddedPostgres:
    """A standby of it, made as anybody makes one; not started yet."""
    pgdata = pgdata_of(data)
    data.mkdir()
    words = [binary("pg_basebackup"), "--dbname", primary.url, "--pgdata", pgdata]
    subprocess.run([*map(str, words), "-R", "--checkpoint=fast"], cwd="/", check=True)
    server_user().own_tree(pgdata)
    return EmbeddedPostgres(data, durable=False, settings=SMALL)


async def test_a_replica_that_falls_behind_and_goes(tmp_path: Path) -> None:
    lag, count = "kopeck_replica_lag_bytes", "kopeck_replicas"
    primary = EmbeddedPostgres(tmp_path / "a", durable=False, settings=SMALL)
    primary.start()
    standby = standby_of(primary, tmp_path / "b")
    try:
        await migrated(primary.url)
        standby.launch()
        async with drilled(primary.url, tmp_path) as (drill, _):
            both = await drill.until(lambda m: m[count] == 1 and m[lag] < MEGABYTE)
            assert fires("ReplicaMissing", both) in (False, None)
            assert fires("ReplicaBehind", both) in (False, None)
            assert postmaster.wait_until(lambda: answers(standby), 10)
            await sent(standby.url, "SELECT pg_wal_replay_pause()")
            await sent(
                primary.url,
                "CREATE TABLE ballast AS SELECT repeat(md5(n::text), 20) AS text"
                " FROM generate_series(1, 130000) AS n",
            )
            behind = await drill.until(lambda m: m[lag] > 64 * MEGABYTE)
            assert fires("ReplicaBehind", behind) in (True, None)
            assert "paused" in await drill.follow("ReplicaBehind", REPLICA=standby.url)
            caught_up = await drill.until(lambda m: m[lag] < MEGABYTE)
            assert fires("ReplicaBehind", caught_up) in (False, None)
            standby.stop()
            alone = await drill.until(lambda m: m[count] == 0)
            assert fires("ReplicaMissing", alone, caught_up) in (True, None)
            await drill.follow("ReplicaMissing", "Look")
            standby.launch()
            again = await drill.until(lambda m: m[count] == 1)
            await drill.follow("ReplicaMissing", "Afterwards")
            assert fires("ReplicaMissing", again, caught_up) in (False, None)
    finally:
        standby.stop()
        primary.stop()


def answers(postgres: EmbeddedPostgres) -> bool:
    file = postmaster.read_pid_file(postgres.pgdata)
    return file is not None and postmaster.answers(file.socket_dir)


async def sent(url: str, statement: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()
