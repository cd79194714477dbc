"""A sealed batch: whatever is done to any column of any row of it, the audit names the row.

Columns are read from the catalogue, so that one that is added later cannot be forgotten.
"""

from datetime import UTC, datetime

import asyncpg
import pytest

from gateway.audit import report
from gateway.seals import store as seal_store
from tests.audit import test_corruption
from tests.audit.test_corruption import free_hand

damaged = test_corruption.damaged

# What each covered table's rows are called by the audit.
NAMES = {
    "settlement_batches": "'settlement batch ' || number",
    "payments": "'pay_' || replace(id::text, '-', '')",
    "resolutions": "'resolution of pay_' || replace(payment::text, '-', '')",
    "refunds": "'ref_' || replace(id::text, '-', '')",
    "returned_money": "'money back of ' || (SELECT id FROM recipients WHERE number = recipient)"
    " || ' from settlement batch ' || from_batch",
    "positions": "'position of ' || (SELECT id FROM recipients WHERE number = recipient)"
    " || ' in settlement batch ' || settlement_batch",
    "obligations": "'obl_' || replace(id::text, '-', '')",
    "obligation_transfers": "'obt_' || replace(id::text, '-', '')",
    "obligation_reductions": "'obw_' || replace(id::text, '-', '')",
    "payouts": "'po_' || replace(id::text, '-', '')",
    "payout_files": "'payout file ' || format || ' of settlement batch ' || settlement_batch",
}
# An approval comes after its batch was sealed, and is sealed by itself.
APPROVAL = ("approved_at", "approved_by", "payer_account", "payer_bic")
# What goes on changing by right: other checks hold states to the events that made them.
UNSEALED = {
    ("settlement_batches", "state"),
    ("settlement_batches", "restored_at"),
    ("payouts", "state"),
}
OTHER_VALUES = {
    "bigint": "{0} + 1000",
    "integer": "{0} + 1000",
    "smallint": "{0} + 1000",
    "text": "{0} || '1'",
    "date": "{0} + 1",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
    "uuid": "gen_random_uuid()",
    "bytea": "set_byte({0}, length({0}) - 1, get_byte({0}, length({0}) - 1) # 1)",
    "json": "({0}::text || ' ')::json",
    "ARRAY": "{0} || 'x'::text",
}
FIRST_VALUES = {
    "bigint": "7",
    "integer": "7",
    "smallint": "7",
    "text": "'7'",
    "date": "current_date",
    "timestamp with time zone": "now()",
    "uuid": "gen_random_uuid()",
    "bytea": r"'\x0400000001'",
    "json": "'{}'",
}
COLUMNS = """
    SELECT column_name, data_type, is_nullable = 'YES' AS may_be_null
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position
"""
ROW_CHECKS = {"row_changed", "row_deleted", "row_added"}


@pytest.fixture
async def sealed(damaged: asyncpg.Connection) -> asyncpg.Connection:
    """The day of test_corruption with all sealed, and nothing in the way of damage."""
    while todo := await seal_store.unsealed(damaged):
        async with damaged.transaction():
            await seal_store.seal(damaged, *todo[0], datetime.now(UTC))
    await free_hand(damaged)
    return damaged


async def audited(conn: asyncpg.Connection, *statements: str) -> dict[str, set[str]]:
    """What the audit names after some damage, by check; the damage is undone."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        for statement in statements:
            done = await conn.execute(statement)
            assert not done.endswith(" 0"), f"nothing was damaged by {statement}"
        found = await report.audit(conn)
    finally:
        await transaction.rollback()
    named: dict[str, set[str]] = {}
    problems = found["problems"]
    assert isinstance(problems, list)
    for problem in problems:
        named.setdefault(problem["check"], set()).add(problem["row"])
    return named


def named_rows(found: dict[str, set[str]]) -> set[str]:
    return {row for check, rows in found.items() if check in ROW_CHECKS for row in rows}


def batch_column(table: str) -> str:
    return "number" if table == "settlement_batches" else "settlement_batch"


async def a_row(conn: asyncpg.Connection, table: str, where: str = "true") -> tuple[str, str]:
    """(condition, name) of one row of a batch that is sealed."""
    row = await conn.fetchrow(
        f"SELECT ctid::text AS place, {NAMES[table]} AS name FROM {table}"
        f" WHERE {batch_column(table)} IN (1, 2) AND {where} LIMIT 1"
    )
    assert row is not None, f"no row of {table} to damage"
    return f"WHERE ctid = '{row['place']}'", row["name"]


async def test_an_untouched_day_is_as_it_was_sealed(sealed: asyncpg.Connection) -> None:
    found = await report_of(sealed)

    assert found["problems"] == []
    assert (found["seals"], found["unsealed_batches"]) == (4, 0)
    counted = await sealed.fetchval("""
        SELECT (SELECT count(*) FROM payments WHERE settlement_batch < 3)
             + (SELECT count(*) FROM resolutions) + (SELECT count(*) FROM refunds)
             + (SELECT count(*) FROM obligations) + (SELECT count(*) FROM obligation_transfers)
             + (SELECT count(*) FROM obligation_reductions)
             + (SELECT count(*) FROM returned_money) + (SELECT count(*) FROM positions)
             + (SELECT count(*) FROM payouts) + (SELECT count(*) FROM payout_files) + 4
             + (SELECT count(*) FROM history_seals WHERE settlement_batch IS NOT NULL)
    """)
    assert found["sealed_rows"] == counted


async def report_of(conn: asyncpg.Connection) -> dict[str, object]:
    async with conn.transaction():
        return await report.audit(conn)


@pytest.mark.parametrize("table", NAMES)
async def test_each_column_of_a_sealed_row_is_covered(
    sealed: asyncpg.Connection, table: str
) -> None:
    for column in await sealed.fetch(COLUMNS, table):
        name, kind = column["column_name"], column["data_type"]
        filled = await sealed.fetchval(
            f"SELECT count({name}) FROM {table} WHERE {batch_column(table)} IN (1, 2)"
        )
        where = f"{name} IS NOT NULL" if filled else "true"
        values = [OTHER_VALUES[kind].format(name) if filled else FIRST_VALUES[kind]]
        values += ["NULL"] if filled and column["may_be_null"] else []
        row, called = await a_row(sealed, table, where)
        if table == "settlement_batches" and name in APPROVAL:
            called = f"approval of {called}"
        for value in values:
            await sealed.execute(f"ALTER TABLE {table} ALTER COLUMN {name} DROP IDENTITY IF EXISTS")
            found = await audited(sealed, f"UPDATE {table} SET {name} = {value} {row}")
            if (table, name) in UNSEALED:
                assert not named_rows(found), f"{table}.{name} is sealed and may change by right"
            else:
                assert called in named_rows(found), f"{table}.{name} = {value}: found {found}"


@pytest.mark.parametrize("table", NAMES)
async def test_a_deleted_row_is_named(sealed: asyncpg.Connection, table: str) -> None:
    row, called = await a_row(sealed, table)

    found = await audited(sealed, f"DELETE FROM {table} {row}")

    assert called in found["row_deleted"]


NEW_KEYS = {
    "payments": {"id": "gen_random_uuid()"},
    "resolutions": {"payment": "gen_random_uuid()"},
    "refunds": {"id": "gen_random_uuid()"},
    "returned_money": {"recipient": "recipient % 3 + 1", "payout": "gen_random_uuid()"},
    "positions": {"recipient": "(SELECT number FROM recipients WHERE id = 'late')"},
    "obligations": {"id": "gen_random_uuid()", "number": "number + 100", "document_number": "'9'"},
    "obligation_transfers": {"id": "gen_random_uuid()", "service": "'other'"},
    "obligation_reductions": {"id": "gen_random_uuid()"},
    "payouts": {"id": "gen_random_uuid()", "recipient": "999", "order_number": "999"},
    "payout_files": {"format": "'other'"},
}


@pytest.mark.parametrize("table", NEW_KEYS)
async def test_an_added_row_is_named(sealed: asyncpg.Connection, table: str) -> None:
    await sealed.execute(LATE)
    row, _ = await a_row(sealed, table)
    columns = [column["column_name"] for column in await sealed.fetch(COLUMNS, table)]
    values = ", ".join(NEW_KEYS[table].get(name, name) for name in columns)
    before = {
        name["name"] for name in await sealed.fetch(f"SELECT {NAMES[table]} AS name FROM {table}")
    }

    transaction = sealed.transaction()
    await transaction.start()
    await sealed.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"
        f" SELECT {values} FROM {table} {row}"
    )
    names = {
        name["name"] for name in await sealed.fetch(f"SELECT {NAMES[table]} AS name FROM {table}")
    }
    found = await report.audit(sealed)
    await transaction.rollback()

    problems = found["problems"]
    assert isinstance(problems, list)
    assert names - before == {p["row"] for p in problems if p["check"] == "row_added"}


LATE = """
    INSERT INTO recipients (id, name, kind, inn, bic, account, set_at, set_by)
    SELECT 'late', name, kind, inn, bic, account, set_at, set_by FROM recipients LIMIT 1
"""


MOVES = [
    (table, other)
    for table in ("payments", "resolutions", "refunds", "payouts", "obligation_transfers")
    for other in (1, 2, 3)
    # The only row of its kind is in that batch.
    if (table, other) != ("resolutions", 2)
]


@pytest.mark.parametrize(("table", "other"), MOVES)
async def test_a_moved_row_is_named_where_it_was_and_where_it_is(
    sealed: asyncpg.Connection, table: str, other: int
) -> None:
    was = await sealed.fetchrow(
        f"SELECT ctid::text AS place, settlement_batch AS batch, {NAMES[table]} AS name"
        f" FROM {table} WHERE settlement_batch IN (1, 2) AND settlement_batch <> $1 LIMIT 1",
        other,
    )
    assert was is not None
    transaction = sealed.transaction()
    await transaction.start()
    await sealed.execute(
        "ALTER TABLE payouts DROP CONSTRAINT payouts_settlement_batch_recipient_key;"
        "ALTER TABLE obligation_transfers"
        " DROP CONSTRAINT obligation_transfers_settlement_batch_obligation_service_key"
    )
    await sealed.execute(
        f"UPDATE {table} SET settlement_batch = {other} WHERE ctid = '{was['place']}'"
    )
    found = await report.audit(sealed)
    await transaction.rollback()

    problems = found["problems"]
    assert isinstance(problems, list)
    told = {(p["check"], p["detail"]) for p in problems if p["row"] == was["name"]}
    assert (
        "row_deleted",
        f"was moved to settlement batch {other} after its own was sealed",
    ) in told
    assert other == 3 or "row_added" in {check for check, _ in told}


async def test_two_rows_that_changed_places_are_both_named(sealed: asyncpg.Connection) -> None:
    one, other = await sealed.fetch(
        f"SELECT id, {NAMES['payments']} AS name FROM payments WHERE settlement_batch = 1 LIMIT 2"
    )
    found = await audited(
        sealed,
        f"UPDATE payments SET id = CASE id WHEN '{one['id']}' THEN '{other['id']}'::uuid"
        f" ELSE '{one['id']}' END, subscriber_account = subscriber_account || '1'"
        f" WHERE id IN ('{one['id']}', '{other['id']}')",
    )
    assert {one["name"], other["name"]} <= found["row_changed"]


BROKEN_SEALS = [
    ("an old root", "UPDATE seals SET root = sha256(root) WHERE number = 1",
     "seal_chain_broken", "seal 1 of settlement batch 1"),
    ("an old root and its link", "UPDATE seals SET root = sha256(root), chain = sha256(chain)"
     " WHERE number = 1", "seal_chain_broken", "seal 2 of settlement batch 2"),
    ("a count", "UPDATE seals SET leaves = leaves + 1 WHERE number = 2",
     "seal_chain_broken", "seal 2 of settlement batch 2"),
    ("a kept leaf", "UPDATE seal_pages SET entries = set_byte(entries, 40, 0) WHERE seal = 1",
     "seal_broken", "seal 1 of settlement batch 1"),
    ("a page's root", "UPDATE seal_pages SET root = sha256(root) WHERE seal = 1",
     "seal_broken", "seal 1 of settlement batch 1"),
    ("a page deleted", "DELETE FROM seal_pages WHERE seal = 1",
     "seal_broken", "seal 1 of settlement batch 1"),
    ("a seal deleted", "DELETE FROM seals WHERE number = 1",
     "seal_missing", "settlement batch 1"),
    ("the last seals deleted", "DELETE FROM seals", "seal_missing", "settlement batch 2"),
    ("seals that changed places", "UPDATE seals SET number = -number WHERE number < 3;"
     "UPDATE seals SET number = 3 + number WHERE number < 0", "seal_chain_broken",
     "seal 1 of settlement batch 2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "damage", "check", "row"), BROKEN_SEALS, ids=[broken[0] for broken in BROKEN_SEALS]
)
async def test_a_broken_seal_is_named(
    sealed: asyncpg.Connection, what: str, damage: str, check: str, row: str
) -> None:
    found = await audited(sealed, *damage.split(";"))

    assert row in found.get(check, set()), f"{what}: found {found}"


async def test_a_batch_without_a_seal_is_counted_and_not_wrong(
    damaged: asyncpg.Connection,
) -> None:
    """Batches closed before there were seals are sealed as they are found, the oldest first."""
    await free_hand(damaged)
    await damaged.execute("DELETE FROM seals; DELETE FROM seal_pages")
    await damaged.execute("DELETE FROM history_seals; DELETE FROM history_rows")
    await damaged.execute("UPDATE schema_migrations SET applied_at = now() + interval '1 day'")
    found = await report_of(damaged)
    assert (found["problems"], found["unsealed_batches"]) == ([], 2)

    while todo := await seal_store.unsealed(damaged):
        async with damaged.transaction():
            await seal_store.seal(damaged, *todo[0], datetime.now(UTC))
    found = await report_of(damaged)
    assert (found["problems"], found["unsealed_batches"], found["seals"]) == ([], 0, 4)


async def test_a_batch_of_more_pages_than_one_is_compared_to_its_end(
    sealed: asyncpg.Connection,
) -> None:
    await sealed.execute("DELETE FROM seals; DELETE FROM seal_pages")
    await sealed.execute("DELETE FROM history_seals; DELETE FROM history_rows")
    columns = [column["column_name"] for column in await sealed.fetch(COLUMNS, "payments")]
    values = ", ".join("gen_random_uuid()" if name == "id" else name for name in columns)
    await sealed.execute(
        f"INSERT INTO payments SELECT {values} FROM (SELECT * FROM payments LIMIT 1) AS p,"
        " generate_series(1, 3000)"
    )
    while todo := await seal_store.unsealed(sealed):
        async with sealed.transaction():
            await seal_store.seal(sealed, *todo[0], datetime.now(UTC))
    names = [
        row["name"]
        for row in await sealed.fetch(
            f"SELECT {NAMES['payments']} AS name FROM payments WHERE settlement_batch = 1"
            " ORDER BY id"
        )
    ]
    first, middle, last = names[0], names[1500], names[-1]
    of = "WHERE 'pay_' || replace(id::text, '-', '') = "

    assert not named_rows(await audited(sealed))
    found = await audited(
        sealed,
        f"DELETE FROM payments {of}'{first}'",
        f"UPDATE payments SET reference = 'x' {of}'{middle}'",
        f"DELETE FROM payments {of}'{last}'",
        "ALTER TABLE payments DROP CONSTRAINT payments_pkey",
        f"INSERT INTO payments SELECT * FROM payments {of}'{names[700]}'",
    )
    assert found["row_deleted"] == {first, last}
    assert found["row_changed"] == {middle}
    assert found["row_added"] == {names[700]}
