"""A database put back to an earlier moment: a logical copy, made while it is in use."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from gateway.domain.party import Caller
from gateway.storage.embedded import binary
from tests.flows.region import Region

_WITHIN_S = 120


async def _run(program: str, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        binary(program), *words, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(_WITHIN_S):
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def dump(url: str, file: Path) -> None:
    await _run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={url}")


async def put_back(file: Path, url: str) -> None:
    """Into a database without a single table."""
    await _run("pg_restore", "--exit-on-error", f"--dbname={url}", str(file))


@asynccontextmanager
async def living(url: str) -> AsyncIterator[Region]:
    """The region that a database already holds, with a worker that knows nothing of before."""
    conn = await asyncpg.connect(url)
    try:
        rows = await conn.fetch("SELECT number, name, role FROM callers")
        region = Region(url, conn, {row["name"]: Caller(*row.values()) for row in rows})
        async with region.working() as worker:
            region.worker = worker
            yield region
    finally:
        await conn.close()
