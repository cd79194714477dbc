"""A region made while nobody uses it is one that the audit and the gateway take for real."""

import asyncio
import subprocess
from pathlib import Path

import asyncpg
import orjson
import pytest

from loadtests import cold_load
from loadtests.gateway_process import KOPECK, ROOT, Gateway, gateway_on
from loadtests.rows import size
from loadtests.rows.http import HttpLoad
from loadtests.stage import Stage

ACCOUNTS, PAYERS, MODELS = 700, 640, 60
_SCHEMA = """
    SELECT pg_get_indexdef(i.indexrelid) || coalesce(pg_get_constraintdef(c.oid), '')
    FROM pg_index AS i LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid
    WHERE i.indrelid::regclass::text IN
          ('payments', 'payments_first', 'idempotency_keys', 'open_bills', 'bills')
    ORDER BY 1
"""
_UNSEALED = """
    SELECT number FROM settlement_batches
    WHERE number NOT IN (SELECT settlement_batch FROM seals
                         WHERE made_at < pg_postmaster_start_time())
"""


def asked(gateway: Gateway, query: str) -> list[object]:
    async def ask() -> list[object]:
        conn = await asyncpg.connect(gateway.database_url)
        try:
            return [row[0] for row in await conn.fetch(query)]
        finally:
            await conn.close()

    return asyncio.run(ask())


def test_the_audit_finds_nothing_wrong_and_payers_pay_on(tmp_path: Path) -> None:
    cold_load.make_region(tmp_path, ACCOUNTS, MODELS)
    with gateway_on(tmp_path, 1, ACCOUNTS, {"KOPECK_LOG_AHEAD_MB": "0"}) as gateway:
        before = asked(gateway, _SCHEMA)
    # A second load replaces the first.
    for rounds in (1, 3):
        cold_load.store_payments(tmp_path, PAYERS, rounds, MODELS)
    with gateway_on(tmp_path, 1, ACCOUNTS, {"KOPECK_LOG_AHEAD_MB": "0"}) as gateway:
        assert asked(gateway, _SCHEMA) == before
        assert asked(gateway, "SHOW fsync") == ["on"]
        # Nothing is left to the gateway to do beside what is measured.
        assert asked(gateway, _UNSEALED) == []
        HttpLoad(gateway, "on").send(ACCOUNTS, 30.0, 8)
        assert gateway.send("POST", "/v1/settlement-batches", {})["payments"] == ACCOUNTS
    done = subprocess.run(
        [*KOPECK, "audit", "--data", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    found = orjson.loads(done.stdout)
    stored = 3 * PAYERS + ACCOUNTS
    assert (done.returncode, found["payments"], found["problems"]) == (0, stored, [])
    assert found["settlement_batches"] == 4


def test_rows_of_size_tell_what_they_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SECONDS", 0.2), ("BULK_LINES", 50), ("WARM_REQUESTS", 1)):
        monkeypatch.setattr(size, name, value)
    with Stage(1, tmp_path, workers=1) as stage:
        rows = size.part(stage, size.Sizes(ACCOUNTS, PAYERS, (2,), MODELS))
    assert [row.name for row in rows] == ["stored", "stored_bulk", "worker_memory", "disk_at_size"]
    assert [point["stored"] for point in rows[0].points] == [0, 2 * PAYERS]
    for row in rows:
        assert all(value > 0 for value in row.measured.values)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_short_gets_the_steps_it_has_room_for() -> None:
    sizes = size.Sizes(rounds=(1, 5, 20))
    assert sizes.that_fit(100 * 10**9) == (1, 5, 20)
    assert sizes.that_fit(20 * 10**9) == (1, 5)
    assert sizes.that_fit(0) == (1,)
