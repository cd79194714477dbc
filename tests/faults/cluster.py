"""A primary and a standby that streams from it, and the promotion of the one after the other."""

import asyncio
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg

from gateway.storage.embedded import EmbeddedPostgres, binary, socket_dir_of
from gateway.storage.postmaster import DATABASE, USER
from gateway.storage.server_user import server_user
from tests.faults.processes import SERVING_AGAIN_S, SMALL, kill_tree

# A commit is answered once the standby has it on its disk as well.
SYNCHRONOUS = {"synchronous_standby_names": "*", "wal_sender_timeout": "2s"}
_POLL_S = 0.02
_STANDBY = {"synchronous_standby_names": "", "wal_receiver_timeout": "2s"}


class Pair:
    """Two durable servers; `both` is the URL that names either, the primary's host first."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._primary = EmbeddedPostgres(folder / "one", settings={**SMALL, **settings})
        self._standby = EmbeddedPostgres(folder / "two", settings={**SMALL, **settings, **_STANDBY})
        hosts = ",".join(quote(str(socket_dir_of(folder / name))) for name in ("one", "two"))
        self.both = f"postgresql://{USER}@/{DATABASE}?host={hosts}"
        self.primary_url, self.standby_url = self._primary.url, self._standby.url

    async def start(self) -> None:
        """Returns once the standby streams."""
        self._primary.start()
        target = self._standby.pgdata
        target.parent.mkdir(parents=True)
        words = [str(binary("pg_basebackup")), "--dbname", self._primary.url]
        words += [
            "--write-recovery-conf",
            "--pgdata",
            str(target),
            "--checkpoint=fast",
            "--no-sync",
        ]
        await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True, timeout=120)
        server_user().own_tree(target)
        await self.start_standby()

    async def start_standby(self, *, streams: bool = True) -> None:
        self._standby.start()
        if streams:
            await self._told(
                "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'"
            )

    def stop_standby(self) -> None:
        self._standby.stop()

    async def caught_up(self) -> None:
        """Returns once the standby has what the primary has written until now."""
        await self._told(
            "SELECT bool_and(flush_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication"
        )

    async def _told(self, question: str) -> None:
        """Waits until the primary answers yes."""
        conn = await asyncpg.connect(self.primary_url)
        try:
            for _ in range(int(SERVING_AGAIN_S / _POLL_S)):
                if await conn.fetchval(question):
                    return
                await asyncio.sleep(_POLL_S)
            raise AssertionError(f"Expected yes within {SERVING_AGAIN_S} s to {question}")
        finally:
            await conn.close()

    async def cancel_a_commit(self) -> None:
        """Does to a payment's commit that waits for the standby what an impatient person might."""
        await self._told(
            "SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity"
            " WHERE wait_event = 'SyncRep' AND application_name = 'kopeck worker'"
        )

    def kill_primary(self, dice: random.Random) -> None:
        """kill -9 of the primary's every process; it does not come back."""
        kill_tree(self._primary.pgdata, dice)

    async def promote(self) -> None:
        """The standby is the primary once this returns."""
        conn = await asyncpg.connect(self.standby_url)
        try:
            assert await conn.fetchval("SELECT pg_promote(true, 60)")
        finally:
            await conn.close()

    def stop(self) -> None:
        self._standby.stop()
        self._primary.stop()
