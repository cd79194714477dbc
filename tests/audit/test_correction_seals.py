"""Corrections, chargebacks, their moves and debts: what is done to any column of them is named."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import orjson
import pytest

from gateway.domain.ids import CHARGEBACK, DEBT, read_id
from gateway.domain.party import BankAccount, Recipient
from gateway.flows import charge_back, correct_payment, receivables, set_terms
from gateway.flows.correct_payment import Asked
from gateway.seals import store as seal_store
from splitcore import FeeRule
from tests.audit.test_corruption import ACCOUNTS, World, free_hand, world_on
from tests.audit.test_seals import (
    COLUMNS,
    FIRST_VALUES,
    OTHER_VALUES,
    audited,
    named_rows,
    report_of,
)

NAMES = {
    "moves": "'move ' || replace(id::text, '-', '')",
    "corrections": "'cor_' || replace(id::text, '-', '')",
    "chargebacks": "'chb_' || replace(id::text, '-', '')",
    "chargeback_reversals": "'rev_' || replace(id::text, '-', '')",
    "debt_settlements": "'dbt_' || replace(id::text, '-', '')",
}
VALUES = {**OTHER_VALUES, "boolean": "NOT {0}"}


@pytest.fixture
async def damaged(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Three closed batches with all of it in them, sealed, and nothing in the way of damage."""
    async with world_on(database_url) as (world, conn):
        await _days(world)
        while todo := await seal_store.unsealed(conn):
            async with conn.transaction():
                await seal_store.seal(conn, *todo[0], datetime.now(UTC))
        await free_hand(conn)
        yield conn


async def _days(world: World) -> None:
    await world.intake.start()
    operator, bank, boss = (world.callers[name] for name in ("operator", "bank", "boss"))
    for id_, (number, bic) in ACCOUNTS.items():
        rule = FeeRule(15_000) if id_ == "heat" else None
        account = BankAccount(bic, number)
        recipient = Recipient(id_, f"ООО {id_}", "supplier", "7707083893", None, account, rule)
        await set_terms.set_recipient(world.context, operator, recipient, False)
    await world.load("2026-10", 90_000)
    payment = await world.pay("A", 50_000)
    await world.close()
    for asked in (
        Asked(amount=20_000, subscriber_account="B"),
        Asked(services=(("heating", 100),), from_account="A", designation=(("upkeep", 100),)),
        Asked(amount=5_000, from_account="B", period="2026-09"),
    ):
        claim = world.claim("operator", "corrections")
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
    await world.refund(payment, 43_000)
    lost = await world.pay("nobody", 900)
    claim = world.claim("bank", "chargebacks")
    await charge_back.charge_back(world.context, claim, bank, lost, 900, "CB-2", "10.4")
    await world.close()
    claim = world.claim("operator", "debt_requests")
    told = await receivables.ask(
        world.context, claim, operator, "heat", "written_off", 7, "closed down", "act 5"
    )
    request = read_id(DEBT, orjson.loads(told.content)["id"])
    assert request is not None
    claim = world.claim("boss", "debt_settlements")
    await receivables.approve(world.context, claim, boss, request)
    await world.close()
    await world.intake.drain()


async def test_untouched_it_is_as_it_was_sealed(damaged: asyncpg.Connection) -> None:
    found = await report_of(damaged)
    assert found["problems"] == []
    for table in NAMES:
        assert await damaged.fetchval(f"SELECT count(*) FROM {table}"), table


@pytest.mark.parametrize("table", NAMES)
async def test_each_column_is_covered(damaged: asyncpg.Connection, table: str) -> None:
    for column in await damaged.fetch(COLUMNS, table):
        name, kind = column["column_name"], column["data_type"]
        filled = await damaged.fetchval(f"SELECT count({name}) FROM {table}")
        row = await damaged.fetchrow(
            f"SELECT ctid::text AS place, {NAMES[table]} AS name FROM {table}"
            f" WHERE {name} IS NOT NULL OR {not filled} LIMIT 1"
        )
        assert row is not None
        values = [VALUES[kind].format(name) if filled else FIRST_VALUES[kind]]
        values += ["NULL"] if filled and column["may_be_null"] else []
        await damaged.execute(f"ALTER TABLE {table} ALTER COLUMN {name} DROP IDENTITY IF EXISTS")
        for value in values:
            found = await audited(
                damaged, f"UPDATE {table} SET {name} = {value} WHERE ctid = '{row['place']}'"
            )
            assert row["name"] in named_rows(found), f"{table}.{name} = {value}: {found}"


@pytest.mark.parametrize("table", NAMES)
async def test_a_deleted_row_is_named(damaged: asyncpg.Connection, table: str) -> None:
    row = await damaged.fetchrow(
        f"SELECT ctid::text AS place, {NAMES[table]} AS name FROM {table} LIMIT 1"
    )
    assert row is not None
    found = await audited(damaged, f"DELETE FROM {table} WHERE ctid = '{row['place']}'")
    assert row["name"] in found["row_deleted"]


# What the rules say without any seal: of the open batch there is none yet.
DAMAGE = [
    ("UPDATE corrections SET amount = amount + 1", "correction_unbalanced"),
    ("DELETE FROM corrections", "correction_unbalanced"),
    ("DELETE FROM moves WHERE kind = 'correction' AND sign > 0", "correction_unbalanced"),
    ("UPDATE moves SET amount = amount + 1 WHERE kind = 'refund'", "chargeback_unbalanced"),
    ("UPDATE chargebacks SET amount = amount + 1 WHERE NOT suspended", "chargeback_unbalanced"),
    ("UPDATE chargebacks SET suspended = NOT suspended", "chargeback_unbalanced"),
    ("UPDATE chargebacks SET amount = amount + 1 WHERE suspended", "given_back_unbalanced"),
    ("DELETE FROM chargebacks WHERE NOT suspended", "chargeback_unbalanced"),
    ("UPDATE chargeback_reversals SET amount = 10001", "reversal_exceeds"),
    ("UPDATE chargebacks SET acquirer = caller + 1", "chargeback_of_another"),
    ("DELETE FROM idempotency_keys WHERE route IN (16, 17)", "entry_without_key"),
    ("UPDATE debt_settlements SET amount = amount + 1", "debt_settlement_wrong"),
    ("UPDATE debt_requests SET asked_by = 3", "debt_settlement_wrong"),
    ("UPDATE debt_settlements SET amount = amount + 1", "returned_not_counted"),
    ("UPDATE moves SET commission = 0, commissions = NULL WHERE sign < 0", "commission_wrong"),
    ("UPDATE moves SET sequence = sequence + 5 WHERE kind = 'refund'", "sequence_broken"),
    ("UPDATE moves SET counts_as = 1 WHERE lot = id AND terms_version IS NOT NULL", "move_wrong"),
    ("UPDATE moves SET settlement_batch = 1 WHERE kind = 'refund'", "position_wrong"),
]


@pytest.mark.parametrize(("damage", "check"), DAMAGE)
async def test_each_rule_finds_what_breaks_it(
    damaged: asyncpg.Connection, damage: str, check: str
) -> None:
    found = await audited(damaged, damage)
    assert found.get(check), f"{damage}: found {sorted(found)}"
