"""Schemathesis against a live worker: it generates from the OpenAPI document and finds nothing.

`positive_data_acceptance` is left out. A whole float such as 770.0 is an integer to JSON Schema and
`malformed` by the contract, and what the schema allows may still be refused by rules that it cannot
tell: an account without a bill, a method's own fields, a reused key. Streams are left out of
`negative_data_rejection`: a bad line is refused in the answer's body, its neighbours are kept.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.api.conftest import Gateway

ALWAYS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,missing_required_header,"
    "unsupported_method,allow_header_conformance,use_after_free,ignored_auth"
)
HOOKS = "tests.api.schemathesis_hooks"
ROOT = Path(__file__).parents[2]
# Of these the biller protocols tell in the answer's body what is wrong, as NDJSON does.
STREAMS = r"^/(v1/(bills|payments/bulk)|(osmp|sber)(/\{secret\})?)$"


@pytest.mark.parametrize(
    ("role", "streams"),
    [("acquirer", False), ("operator", False), ("acquirer", True), ("operator", True)],
)
async def test_nothing_is_found(region: Gateway, tmp_path: Path, role: str, streams: bool) -> None:
    chosen = ["--include-path-regex", STREAMS]
    if not streams:
        chosen = ["--exclude-path-regex", f"{STREAMS}|^/(docs|metrics|openapi)"]
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{region.url}/openapi.json",
        "--header",
        f"Authorization: Bearer {region.secrets[role]}",
        "--checks",
        ALWAYS if streams else f"{ALWAYS},negative_data_rejection",
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "8",
        "--seed",
        "1",
        "--no-shrink",
        *chosen,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(ROOT)},
    )
    async with asyncio.timeout(120):
        told, _ = await running.communicate()
    assert running.returncode == 0, told.decode()[-20000:]
