"""Payments put into the tables by the million are rows that the audit takes for real ones."""

import subprocess
from pathlib import Path

import asyncpg
import orjson
import pytest
import uvloop

from loadtests import bulk_loaded
from loadtests.bulk_loaded import bulk_load
from loadtests.gateway_process import KOPECK, ROOT, Gateway, running_gateway
from loadtests.rows.http import HttpLoad

MODELS = 60
_INDEXES = """
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexdef COLLATE "C"
"""


def asked(gateway: Gateway, query: str) -> list[object]:
    async def ask() -> list[object]:
        conn = await asyncpg.connect(gateway.database_url)
        try:
            return [row[0] for row in await conn.fetch(query)]
        finally:
            await conn.close()

    return uvloop.run(ask())


def test_the_audit_finds_nothing_wrong_with_loaded_payments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_loaded, "CHUNK", 250)
    with running_gateway(1, tmp_path, {"KOPECK_LOG_AHEAD_MB": "0"}) as gateway:
        before = asked(gateway, _INDEXES)
        assert bulk_load(gateway, 500, 3, MODELS) == 1_500
        assert bulk_load(gateway, 200, 1, MODELS) == 200
        assert gateway.accounts == 700
        assert asked(gateway, _INDEXES) == before
        # Whoever was loaded pays on like anybody else.
        HttpLoad(gateway, "on").send(700, 30.0, 8)
        assert gateway.send("POST", "/v1/settlement-batches", {})["payments"] == 2_400
        (data,) = tmp_path.glob("kopeck-load-*")
        done = subprocess.run(
            [*KOPECK, "audit", "--data", str(data)], cwd=ROOT, stdout=subprocess.PIPE, check=False
        )
        found = orjson.loads(done.stdout)
        assert (done.returncode, found["payments"], found["problems"]) == (0, 2_400, [])


@pytest.mark.parametrize("accounts", [MODELS, 9_000_001])
def test_more_households_than_models_are_loaded_and_not_more_than_have_numbers(
    accounts: int,
) -> None:
    gateway = Gateway(port=0, database_url="", acquirer="", operator="")
    with pytest.raises(ValueError, match="Expected 61 to 9000000 accounts"):
        bulk_load(gateway, accounts, 1, MODELS)
