"""Fixtures of the crash tests: a durable PostgreSQL with a region in it, and payers' history."""

import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.domain.bill import Charge, SecondLevel
from gateway.storage import keys
from gateway.storage.migrate import migrate
from tests.faults.history import History
from tests.faults.processes import Database
from tests.flows.region import bill, region_in


@pytest.fixture
def rounds() -> int:
    """How often something is killed."""
    return int(os.environ.get("KOPECK_TEST_ROUNDS", "20"))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with open(tmp_path / "history.jsonl", "a", buffering=1) as file:
        yield History(file)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "pg")
    yield made
    made.stop()


@pytest.fixture
async def secret(database: Database) -> str:
    """The key of a bank that may pay onto the twenty accounts A0..A19."""
    return await region_for_payers(database.url)


async def region_for_payers(url: str) -> str:
    """Recipients, fee rules and twenty bills; the secret of an acquirer's key."""
    conn = await asyncpg.connect(url)
    try:
        await migrate(conn)
    finally:
        await conn.close()
    charges = (
        Charge("heating", "heat", 8_000_000, 1, None, (SecondLevel("uk", 50_000),)),
        Charge("waste", "waste", 4_000_000, 1),
        Charge("heating", "heat", 100_000, 0),
    )
    async with region_in(url) as region:
        await region.load(*(bill(f"A{number}", *charges) for number in range(20)))
        return await keys.add(region.conn, "bank", keys.parse_role("acquirer"))
