"""A month in files: whole, readable by others, and any change to it is named."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import duckdb
import msgspec
import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from gateway.archive import manifest, proving, writing
from gateway.archive.manifest import ArchivedFile, Manifest
from gateway.config import StartRefused
from gateway.domain.ids import CHARGEBACK, read_id
from gateway.flows import charge_back, correct_payment
from gateway.flows.accept_payment import Intake
from gateway.flows.correct_payment import Asked
from gateway.seals import store as seal_store
from gateway.storage import leaves
from tests.audit.test_corruption import Silent, World, a_day, free_hand, world_on

MONTH = "2026-10"


async def more_days(world: World) -> None:
    """What the day of the audit's tests has not: corrections, a chargeback that was won in part."""
    operator, bank = world.callers["operator"], world.callers["bank"]
    world.intake = Intake(world.context, Silent())
    await world.intake.start()
    payment = await world.pay("A", 50_000)
    await world.close()
    claim, asked = (
        world.claim("operator", "corrections"),
        Asked(amount=20_000, subscriber_account="B"),
    )
    await correct_payment.correct(
        world.context, claim, operator, payment, asked, "meant otherwise", "letter 17"
    )
    claim = world.claim("bank", "chargebacks")
    told = await charge_back.charge_back(
        world.context, claim, bank, payment, 10_000, "CB-1", "10.4"
    )
    case = read_id(CHARGEBACK, orjson.loads(told.content)["id"])
    assert case is not None
    claim = world.claim("bank", "chargeback_reversals")
    await charge_back.reverse(world.context, claim, bank, payment, case, 3_000, "verdict 3")
    await world.close()
    await world.pay("A", 1_000)
    await world.close()
    await world.intake.drain()


async def seal_all(conn: asyncpg.Connection) -> None:
    while todo := await seal_store.unsealed(conn):
        async with conn.transaction():
            await seal_store.seal(conn, *todo[0], datetime.now(UTC))


@pytest.fixture
async def sealed(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Four batches of October, one of the month after, all sealed."""
    async with world_on(database_url) as (world, conn):
        await a_day(world, conn)
        await more_days(world)
        await free_hand(conn)
        for number in range(1, 5):
            day = date(2026, 10, 27 + number)
            await conn.execute(
                "UPDATE settlement_batches SET business_date = $2 WHERE number = $1", number, day
            )
        await conn.execute(
            "UPDATE settlement_batches SET business_date = '2026-11-02' WHERE number = 5"
        )
        # Approvals have sealed batches already, under the days that they were closed on.
        await conn.execute("TRUNCATE seals, seal_pages, history_seals, history_rows")
        await seal_all(conn)
        yield conn


@pytest.fixture
async def month(sealed: asyncpg.Connection, database_url: str, tmp_path: Path) -> Path:
    """The archive of that October."""
    told = await writing.write(database_url, MONTH, tmp_path / "archives")
    assert told["problems"] == []
    return tmp_path / "archives" / MONTH


def nothing_in(directory: Path) -> bool:
    return not list(directory.iterdir())


def table_of(path: Path) -> pa.Table:
    return parquet.ParquetFile(path).read()


def forged(month: Path, to: Path, name: str, table: pa.Table) -> Path:
    """A copy of a month in which one file is another, as the manifest says as well."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(month, to)
    parquet.write_table(table, to / name)
    told = manifest.read(to)
    files = [
        ArchivedFile(
            file.name,
            file.kind,
            table.num_rows,
            (to / name).stat().st_size,
            sha256((to / name).read_bytes()).hexdigest(),
        )
        if file.name == name
        else file
        for file in told.files
    ]
    redone = Manifest(told.month, told.format, told.batches, files)
    (to / manifest.NAME).write_bytes(manifest.written(redone))
    return to


async def test_a_month_holds_every_row_that_was_sealed(
    month: Path, sealed: asyncpg.Connection, database_url: str
) -> None:
    assert list(proving.problems(month)) == []
    assert list(proving.problems(month, await writing.known_seals(database_url))) == []

    told = manifest.read(month)
    rows = {file.name.removesuffix(".parquet"): file.rows for file in told.files}
    for kind, table in leaves.TABLES.items():
        of = "number" if table == "settlement_batches" else "settlement_batch"
        stored = await sealed.fetchval(f"SELECT count(*) FROM {table} WHERE {of} <= 4")
        assert rows["approvals" if kind == leaves.APPROVAL else table] == stored
    stored = await sealed.fetchval(
        "SELECT sum(leaves)::bigint FROM seals WHERE settlement_batch <= 4"
    )
    sealed_kinds = [file.rows for file in told.files if file.kind is not None]
    assert sum(sealed_kinds) == stored
    assert all(rows[name] for name in ("moves", "corrections", "chargebacks", "payouts", "shares"))


def read_by_others(query: str) -> list[Any]:
    with duckdb.connect() as other:
        return other.execute(query).fetchall()


async def test_others_read_the_same_money(month: Path, sealed: asyncpg.Connection) -> None:
    shares = read_by_others(
        f"SELECT recipient, sum(amount_kopecks)::bigint, count(*) FROM '{month}/shares.parquet'"
        " GROUP BY 1 ORDER BY 1"
    )
    payments = read_by_others(
        "SELECT id::text, accepted_at AT TIME ZONE 'UTC', amount, surcharge, subscriber_account"
        f" FROM '{month}/payments.parquet' ORDER BY 1"
    )

    stored = await sealed.fetch(
        "SELECT r.id, sum(amount_kopecks)::bigint, count(*) FROM shares"
        " JOIN recipients AS r ON r.number = recipient WHERE settlement_batch <= 4"
        ' GROUP BY r.id ORDER BY r.id COLLATE "C"'
    )
    assert shares == [tuple(row) for row in stored]
    stored = await sealed.fetch(
        "SELECT id::text, accepted_at AT TIME ZONE 'UTC', amount, surcharge, subscriber_account"
        " FROM payments WHERE settlement_batch <= 4 ORDER BY 1"
    )
    assert payments == [tuple(row) for row in stored]


def other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + " "
        case bytes():
            return bytes([*value[:-1], value[-1] ^ 1])
        case list():
            return [*value, "x"]
        case _:
            raise AssertionError(f"no other value than {value!r}")


def damaged_columns(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Each column that holds anything with its first value changed."""
    for place, field in enumerate(table.schema):
        storage = {"timestamp[us, tz=UTC]": pa.int64(), "date32[day]": pa.int32()}.get(
            str(field.type)
        )
        column = table.column(place).combine_chunks()
        plain = column.cast(storage) if storage else getattr(column, "storage", column)
        values = plain.to_pylist()
        at = next((i for i, value in enumerate(values) if value is not None), None)
        if at is None:
            continue
        changed = [*values[:at], other(values[at]), *values[at + 1 :]]
        made = pa.array(changed, storage or field.type)
        yield field.name, table.set_column(place, field, made.cast(field.type) if storage else made)


async def test_a_change_to_any_column_of_any_file_is_named(month: Path, tmp_path: Path) -> None:
    tried = 0
    for file in manifest.read(month).files:
        if file.kind is None:
            continue
        for column, table in damaged_columns(table_of(month / file.name)):
            copy = forged(month, tmp_path / "forged", file.name, table)
            assert list(proving.problems(copy)), f"{file.name}: {column} was changed unseen"
            tried += 1
    assert tried > 120


async def test_rows_gone_added_or_in_another_order_are_named(month: Path, tmp_path: Path) -> None:
    for file in manifest.read(month).files:
        if not file.rows or file.name in ("callers.parquet", "recipients.parquet"):
            continue
        table = table_of(month / file.name)
        places = list(range(table.num_rows))
        damages = {"gone": places[1:], "twice": [*places, places[-1]]}
        if len(places) > 1 and file.kind is not None:
            damages["swapped"] = [places[1], places[0], *places[2:]]
        for damage, kept in damages.items():
            copy = forged(
                month, tmp_path / "forged", file.name, table.take(pa.array(kept, pa.int64()))
            )
            assert list(proving.problems(copy)), f"{file.name}: a row {damage} unseen"


async def test_files_that_are_not_as_written_are_named(month: Path, tmp_path: Path) -> None:
    payments = month / "payments.parquet"
    content = payments.read_bytes()
    damages = {
        "is not the file that was written": bytes([*content[:200], content[200] ^ 1])
        + content[201:],
        "cannot be read": content[: len(content) // 2],
    }
    for said, damaged in damages.items():
        payments.write_bytes(damaged)
        assert any(said in problem for problem in proving.problems(month))
    payments.write_bytes(content)
    (month / "more.parquet").write_bytes(content)
    assert list(proving.problems(month)) == ["more.parquet is not in the manifest"]
    (month / "more.parquet").unlink()
    payments.unlink()
    assert list(proving.problems(month)) == ["payments.parquet is not there"]
    (month / manifest.NAME).write_text("{}")
    assert "is not a manifest" in next(proving.problems(month))
    (month / manifest.NAME).unlink()
    assert "cannot be read" in next(proving.problems(month))


async def test_a_month_sealed_anew_is_seen_only_beside_the_database(
    month: Path, sealed: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    before = await writing.known_seals(database_url)
    await sealed.execute("UPDATE payments SET reference = 'forged' WHERE settlement_batch = 1")
    await sealed.execute("TRUNCATE seals, seal_pages, history_seals, history_rows")
    await seal_all(sealed)
    told = await writing.write(database_url, MONTH, tmp_path / "other")
    assert told["problems"] == []

    other_month = tmp_path / "other" / MONTH
    assert list(proving.problems(other_month)) == []
    said = list(proving.problems(other_month, before))
    assert said[0] == "settlement batch 1, counted: the database has another seal"
    assert list(proving.problems(month, await writing.known_seals(database_url)))


async def test_what_was_changed_since_its_seal_is_not_archived(
    sealed: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    await sealed.execute("UPDATE payments SET facts = '{\"a\":1}' WHERE settlement_batch = 2")

    told = await writing.write(database_url, MONTH, tmp_path / "archives")

    assert told["problems"] == [
        "settlement batch 2, counted: its rows are not those that were sealed"
    ]
    assert nothing_in(tmp_path / "archives")


REFUSED = [
    ("October", "SELECT 1", "Expected a month as 2026-10"),
    ("2026-11", "SELECT 1", "Expected a month with a settlement batch after it"),
    ("2026-09", "SELECT 1", "Expected a month with a settlement batch after it"),
    (MONTH, "DELETE FROM seals WHERE settlement_batch = 3 AND stage = 'approved'",
     "was 3 not yet sealed as approved"),
    (MONTH, "DELETE FROM seals WHERE settlement_batch = 4", "was 4 not yet sealed as counted"),
]  # fmt: skip


@pytest.mark.parametrize(("month_name", "before", "said"), REFUSED)
async def test_a_month_that_may_change_stays(
    sealed: asyncpg.Connection,
    database_url: str,
    tmp_path: Path,
    month_name: str,
    before: str,
    said: str,
) -> None:
    await sealed.execute(before)

    with pytest.raises(StartRefused, match=said):
        await writing.write(database_url, month_name, tmp_path)

    assert nothing_in(tmp_path)


async def test_the_commands_tell_and_refuse(month: Path, database_url: str, tmp_path: Path) -> None:
    async def kopeck(*words: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "archive", *words, stdout=-1, stderr=-1
        )
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    again = await kopeck("write", MONTH, "--to", str(month.parent), "--database", database_url)
    assert (again[0], again[1], again[2].count("\n")) == (2, "", 1)
    assert "there is one" in again[2]
    code, out, _ = await kopeck(
        "write", MONTH, "--to", str(tmp_path / "b"), "--database", database_url
    )
    written = json.loads(out)
    assert (code, written["settlement_batches"], written["problems"]) == (0, 4, [])
    for words in ((), ("--database", database_url)):
        code, out, _ = await kopeck("prove", str(month), *words)
        assert (code, json.loads(out)) == (0, written | {"bytes": json.loads(out)["bytes"]})
    told = manifest.read(month)
    batches = [msgspec.structs.replace(told.batches[0], seals=[]), *told.batches[1:]]
    changed = Manifest(told.month, told.format, batches, told.files)
    (month / manifest.NAME).write_bytes(manifest.written(changed))
    code, out, _ = await kopeck("prove", str(month))
    assert (code, json.loads(out)["problems"] != []) == (1, True)
    assert (await kopeck("prove", str(tmp_path / "none")))[0] == 2
