"""From every released schema, with that program's own data and under its traffic, to this one.

The older program serves payers while `kopeck migrate` brings the schema up: no request fails. It
goes on beside the new one, on the new schema, as it does while workers are replaced; and afterwards
the audit, which splits every payment again, finds nothing.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from gateway.audit import report
from tests.faults.history import History, complaints, stored
from tests.faults.payers import Payers, until
from tests.faults.processes import SERVING_AGAIN_S, Database, Gateway, kopeck
from tests.upgrades import programs
from tests.upgrades.programs import RELEASED, Program, Secrets

pytestmark = pytest.mark.skipif(
    not programs.history(), reason="UPGRADES WERE NOT TESTED: no history of older programs here"
)

PAYERS = 6
# Every schema in `make soak`; else the oldest and the one before this.
EVERY = "KOPECK_TEST_ROUNDS" in os.environ
SOME = (2,)


def older() -> list[Any]:
    """A commit of each schema that is tried, and its number."""
    chosen = [(n, commit) for n, commit in RELEASED.items() if EVERY or n in SOME]
    return [pytest.param(commit, id=f"schema-{n:04}") for n, commit in chosen] + [
        pytest.param(None, id="the-schema-before")
    ]


@pytest.fixture
def history(tmp_path: Path) -> Any:
    with open(tmp_path / "history.jsonl", "a", buffering=1) as file:
        yield History(file)


@pytest.fixture
def database(tmp_path: Path) -> Any:
    made = Database(tmp_path / "pg")
    yield made
    made.stop()


@asynccontextmanager
async def serving(folder: Path, url: str, **environ: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(folder, "--database", url, "--workers", "1", **environ)
    try:
        await gateway.start()
        yield gateway
    finally:
        gateway.stop()


@pytest.mark.parametrize("commit", older())
async def test_payments_go_on_while_the_schema_is_brought_up(
    commit: str | None, database: Database, tmp_path: Path, history: History
) -> None:
    old = Program(commit or programs.program_before(), tmp_path)
    assert old.schema < programs.known_now()
    secrets = await asyncio.to_thread(old.fill, database.url)
    async with serving(old.root, database.url, **old.environ) as before:
        payers = Payers(history, secrets.acquirer, before.port, seed=41)
        async with payers.paying(PAYERS):
            await payers.more(100)
            await a_day(before, secrets, history)
            await payers.more(50)
            await migrate(database.url)
            # By both programs on the new schema, as while workers are replaced.
            await payers.more(100)
            async with serving(tmp_path, database.url) as after:
                newer = Payers(history, secrets.acquirer, after.port, seed=42)
                async with newer.paying(PAYERS):
                    await newer.more(100)
                    await payers.more(50)
                # What the old one took the new one knows, whatever schema it was taken on.
                for sent in (history.sent[0], history.sent[120], history.sent[-PAYERS * 4]):
                    assert await newer.ask_again(sent)
                assert (newer.failed, set(newer.answers)) == (0, {201})
                assert (await tomorrow(after, secrets)) == (201, 200)
        assert (payers.failed, set(payers.answers), history.unknown()) == (0, {201}, [])
    assert complaints(history.sent, await stored(database.url), settled=True) == []
    assert (await report.run(database.url))["problems"] == []


async def test_a_program_of_today_brings_an_older_schema_up_before_it_serves(
    database: Database, tmp_path: Path, history: History
) -> None:
    """It never works on a schema that lacks what it needs, and leaves none half done."""
    old = Program(RELEASED[2], tmp_path)
    secrets = await asyncio.to_thread(old.fill, database.url)
    refused = await asyncio.to_thread(kopeck, "audit", "--database", database.url)
    assert refused.returncode != 0
    assert "kopeck migrate" in refused.stderr
    assert "Traceback" not in refused.stderr
    async with serving(tmp_path, database.url) as after:
        payers = Payers(history, secrets.acquirer, after.port, seed=43)
        async with payers.paying(PAYERS):
            await payers.more(50)
        assert (payers.failed, set(payers.answers)) == (0, {201})
        assert (await report.run(database.url))["problems"] == []
        # The control: what takes away what a program uses is seen by the payers of these tests.
        conn = await asyncpg.connect(database.url)
        await conn.execute("ALTER TABLE open_bills RENAME COLUMN sequence TO turn")
        await conn.close()
        async with payers.paying(PAYERS):
            await until(lambda: set(payers.answers) != {201}, SERVING_AGAIN_S, "a failed payment")
    # And the older program does not start on what it does not know.
    with pytest.raises(AssertionError, match="belongs to a newer kopeck"):
        async with serving(old.root, database.url, **old.environ):
            pass


async def a_day(gateway: Gateway, secrets: Secrets, history: History) -> None:
    """Money given back, suspense placed, a batch closed and approved, by the older program."""
    paid = [one for one in history.sent if one.payment is not None]
    known = next(one for one in paid if one.account == "A1")
    held = next(one for one in paid if one.account in ("A20", "A21"))
    given = {"amount": known.amount // 2 or 1}
    refund = await ask(gateway, secrets.acquirer, f"/v1/payments/{known.payment}/refunds", given)
    assert refund[0] == 201, refund
    place = {"subscriber_account": "A2"}
    placed = await ask(gateway, secrets.operator, f"/v1/payments/{held.payment}/resolve", place)
    assert placed[0] == 200, placed
    assert (await tomorrow(gateway, secrets)) == (201, 200)


async def tomorrow(gateway: Gateway, secrets: Secrets) -> tuple[int, int]:
    """Closes what is open and has it approved: both statuses."""
    closed, batch = await ask(gateway, secrets.operator, "/v1/settlement-batches", {})
    path = f"/v1/settlement-batches/{batch.get('id')}/approve"
    return closed, (await ask(gateway, secrets.approver, path, {}))[0]


async def ask(gateway: Gateway, secret: str, path: str, body: object) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": os.urandom(8).hex()}
    url = f"http://{gateway.host}:{gateway.port}{path}"
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def migrate(url: str) -> None:
    """`kopeck migrate` of today, from another process."""
    done = await asyncio.to_thread(kopeck, "migrate", "--database", url)
    assert done.returncode == 0, done.stderr
    conn = await asyncpg.connect(url)
    try:
        newest = await conn.fetchval("SELECT max(number) FROM schema_migrations")
        assert newest == programs.known_now()
    finally:
        await conn.close()
