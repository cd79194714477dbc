"""A month copied into files: written beside, proved against the seals, and only then there.

Nothing of the database is changed. Only what is sealed for good goes, so a month is whole once and
never written again.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

from gateway.archive import manifest, proving, store
from gateway.archive.files import TableFile, digest
from gateway.archive.manifest import ArchivedBatch, ArchivedFile, ArchivedSeal, Manifest
from gateway.config import StartRefused
from gateway.domain import merkle
from gateway.storage import leaves
from gateway.storage.migrate import assert_current
from gateway.storage.postgres import connect

_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


async def write(url: str, month: str, archives: Path) -> dict[str, object]:
    """Copy a month (YYYY-MM) of the database into a directory of its name below `archives`.

    Answers with counts and `problems`; with any of those nothing is left behind. StartRefused where
    the month cannot go, or is there already.
    """
    first, beyond = _bounds(month)
    goal = archives / month
    if goal.exists():
        raise StartRefused(f"Expected no archive of {month} in {archives}, there is one")
    conn = await connect(url, "archive")
    try:
        await assert_current(conn)
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            seals = archived_seals(await store.seals(conn))
            batches = await _batches(conn, month, first, beyond, seals)
            with _beside(goal) as directory:
                written = Manifest(
                    month, manifest.FORMAT, batches, await _files(conn, directory, batches)
                )
                _write_durably(directory / manifest.NAME, manifest.written(written))
                known = [seal for of_batch in seals.values() for seal in of_batch]
                problems = list(proving.problems(directory, known))
                if not problems:
                    _make_durable(directory)
                    os.rename(directory, goal)
                    _make_durable(archives)
    finally:
        await conn.close()
    return summary(written, problems)


async def known_seals(url: str) -> list[ArchivedSeal]:
    """The seals of a database, for the files of a month to be held against."""
    conn = await connect(url, "archive")
    try:
        await assert_current(conn)
        seals = archived_seals(await store.seals(conn))
    finally:
        await conn.close()
    return [seal for of_batch in seals.values() for seal in of_batch]


def summary(told: Manifest, problems: Sequence[str]) -> dict[str, object]:
    """What a command says of a month."""
    return {
        "month": told.month,
        "settlement_batches": len(told.batches),
        "sealed_rows": sum(seal.leaves for batch in told.batches for seal in batch.seals),
        "bytes": sum(file.bytes for file in told.files),
        "roots": {
            f"{batch.id} {seal.stage}": seal.root for batch in told.batches for seal in batch.seals
        },
        "problems": list(problems),
    }


def archived_seals(seals: Sequence[store.Seal]) -> dict[int, list[ArchivedSeal]]:
    """Seals as a manifest tells them, by the number of their batch."""
    by_batch: dict[int, list[ArchivedSeal]] = {}
    for seal in seals:
        before = merkle.FIRST_LINK if seal.before is None else seal.before
        by_batch.setdefault(seal.settlement_batch, []).append(
            ArchivedSeal(
                seal.number,
                seal.stage,
                seal.version,
                seal.leaves,
                before.hex(),
                seal.root.hex(),
                seal.chain.hex(),
            )
        )
    return by_batch


def _bounds(month: str) -> tuple[date, date]:
    if (found := _MONTH.fullmatch(month)) is None:
        raise StartRefused(f"Expected a month as 2026-10, was {month[:20]!r}")
    year, of_year = int(found[1]), int(found[2])
    return date(year, of_year, 1), date(year + of_year // 12, of_year % 12 + 1, 1)


async def _batches(
    conn: Any, month: str, first: date, beyond: date, seals: dict[int, list[ArchivedSeal]]
) -> list[ArchivedBatch]:
    found = await store.batches(conn, first, beyond)
    for batch in found:
        if batch.unsealed is not None:
            raise StartRefused(
                f"Expected all settlement batches of {month} to be sealed for good,"
                f" was {batch.number} not yet sealed as {batch.unsealed}"
            )
    if not found or not await store.gone_on(conn, beyond):
        raise StartRefused(f"Expected a month with a settlement batch after it, was {month}")
    return [
        ArchivedBatch(batch.number, batch.id, batch.business_date, seals[batch.number])
        for batch in found
    ]


async def _files(
    conn: Any, directory: Path, batches: Sequence[ArchivedBatch]
) -> list[ArchivedFile]:
    written = []
    for kind, table in leaves.TABLES.items():
        stage = "approved" if kind in leaves.OF_APPROVED else "counted"
        numbers = [each.number for each in batches if stage in {seal.stage for seal in each.seals}]
        name = "approvals" if kind == leaves.APPROVAL else table
        rows = await store.sealed_rows(conn, kind)
        written.append(await _file(directory / f"{name}.parquet", kind, rows, numbers))
    numbers = [batch.number for batch in batches]
    rows = await store.shares(conn)
    written.append(await _file(directory / proving.SHARES, None, rows, numbers))
    for name, rows in (await store.names(conn)).items():
        written.append(await _file(directory / f"{name}.parquet", None, rows, None))
    return written


async def _file(
    path: Path, kind: int | None, rows: store.Rows, batches: Sequence[int] | None
) -> ArchivedFile:
    file = TableFile(path, rows.columns)
    for arguments in [()] if batches is None else [(batch,) for batch in batches]:
        async for row in rows.of(*arguments):
            file.add(row)
    file.close()
    return _told(file, kind)


def _told(file: TableFile, kind: int | None) -> ArchivedFile:
    size = file.path.stat().st_size
    return ArchivedFile(file.path.name, kind, file.rows, size, digest(file.path))


@contextmanager
def _beside(goal: Path) -> Iterator[Path]:
    """A directory to write in, gone at the end unless it was given the goal's name."""
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=f".{goal.name}.", dir=goal.parent))
    except OSError as failure:
        raise StartRefused(
            f"Expected a directory to write to, was {goal.parent}: {failure.strerror}"
        ) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _make_durable(directory: Path) -> None:
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
