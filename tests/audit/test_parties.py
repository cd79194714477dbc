"""The audit holds each recipient to its versions: every column of either, changed by hand."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from msgspec import structs

from gateway.audit import store_parties
from gateway.domain.party import BankAccount, Recipient
from gateway.flows import set_terms, versions
from splitcore import FeeRule
from tests.audit.test_corruption import free_hand, world_on
from tests.flows.region import CARD, Region, batch_id, bill, region_in

_CHANGES = {
    "name": "'x'",
    "kind": "'centre'",
    "inn": "'2224123450'",
    "kpp": "'222501001'",
    "bic": "'044525225'",
    "account": "'40702810138250123017'",
    "correspondent_account": "'30101810400000000225'",
    "bank_name": "'x'",
    "set_at": "set_at + interval '1 second'",
    "set_by": "set_by + 1",
}
_LAST = " WHERE version = 3"
_DAMAGE = [
    *((f"UPDATE recipients SET {name} = {value} WHERE id = 'heat'", "recipient_changed")
      for name, value in _CHANGES.items()),
    *((f"UPDATE recipient_versions SET {name} = {value}" + _LAST, "recipient_changed")
      for name, value in _CHANGES.items()),
    ("UPDATE recipient_versions SET terms_version = 1" + _LAST, "recipient_changed"),
    ("DELETE FROM recipient_versions" + _LAST, "recipient_changed"),
    ("UPDATE recipient_versions SET version = 4" + _LAST, "recipient_version_missing"),
    ("UPDATE recipient_versions SET recipient = 99" + _LAST, "recipient_version_missing"),
    ("DELETE FROM recipient_versions WHERE version = 1", "recipient_version_missing"),
    ("DELETE FROM recipients", "recipient_version_missing"),
    ("UPDATE recipient_versions SET terms_version = NULL WHERE version = 2", "terms_version_wrong"),
    ("UPDATE commission_terms SET set_by = set_by + 1 WHERE version = 2", "terms_version_wrong"),
    ("UPDATE commission_terms SET set_at = now() WHERE version = 2", "terms_version_wrong"),
    ("INSERT INTO commission_terms SELECT recipient, version + 1, ppm, fixed, min, max, set_at,"
     " set_by FROM commission_terms WHERE version = 2", "recipient_changed"),
]  # fmt: skip


@pytest.fixture
async def region(database_url: str) -> AsyncIterator[Region]:
    """A region in a database of its own."""
    async with region_in(database_url) as region:
        yield region


async def problems(conn: asyncpg.Connection) -> set[str]:
    return {check async for check, row, _ in store_parties.broken(conn) if row}


async def test_each_column_of_a_recipient_and_its_versions_is_held(database_url: str) -> None:
    async with world_on(database_url) as (world, conn):
        operator = world.callers["operator"]
        account = BankAccount("049401601", "40702810268000010356")
        heat = Recipient("heat", "ООО heat", "supplier", "7707083893", None, account)
        for one in (
            heat,
            structs.replace(heat, commission=FeeRule(ppm=7_000)),
            structs.replace(heat, name="ООО «Тепло»", commission=FeeRule(ppm=7_000)),
        ):
            await set_terms.set_recipient(world.context, operator, one, False)
        assert await problems(conn) == set()
        await free_hand(conn)
        for damage, check in _DAMAGE:
            transaction = conn.transaction()
            await transaction.start()
            try:
                await conn.execute(damage)
                assert check in await problems(conn), damage
            finally:
                await transaction.rollback()
        assert await problems(conn) == set()


_BY_BOSS = "(SELECT number FROM callers WHERE name = 'boss')"
_BY_OP = "(SELECT number FROM callers WHERE name = 'op')"
_ELSEWHERE = "'40702810138250123017'"
_APPROVED = [
    *((f"UPDATE payouts SET {name} = {value} WHERE name = 'ООО heat'", "payout_requisites_wrong")
      for name, value in (
          ("name", "'x'"), ("inn", "'x'"), ("kpp", "'x'"), ("bic", "'x'"), ("account", "'x'"),
          ("correspondent_account", "'x'"))),
    ("DELETE FROM requisites_used WHERE NOT is_payer", "payout_requisites_wrong"),
    ("UPDATE requisites_used SET version = NULL WHERE NOT is_payer", "payout_requisites_wrong"),
    ("DELETE FROM payouts WHERE name = 'ООО heat'", "payout_requisites_wrong"),
    (f"UPDATE recipient_versions SET account = {_ELSEWHERE}", "payout_requisites_wrong"),
    ("UPDATE settlement_batches SET payer_account = 'x'", "payer_wrong"),
    ("UPDATE settlement_batches SET payer_bic = 'x'", "payer_wrong"),
    ("UPDATE batch_terms SET terms_version = 99", "batch_terms_wrong"),
    ("UPDATE batch_terms SET terms_version = 0 WHERE settlement_batch = 2", "batch_terms_wrong"),
    ("UPDATE batch_approvals SET terms_version = 0", "approval_wrong"),
    (f"UPDATE settlement_batches SET approved_by = {_BY_OP}", "approval_wrong"),
    ("DELETE FROM batch_approvals WHERE settlement_batch = 1", "approval_wrong"),
    # All of it, as one who wants to be alone would have it.
    (f"UPDATE recipient_versions SET set_by = {_BY_BOSS}", "approval_by_changer"),
    (f"UPDATE commission_terms SET set_by = {_BY_BOSS}", "approval_by_changer"),
    (f"UPDATE surcharge_terms SET set_by = {_BY_BOSS}", "approval_by_changer"),
    (f"UPDATE recipient_confirmations SET confirmed_by = {_BY_OP}", "confirmation_by_changer"),
    (f"UPDATE surcharge_confirmations SET confirmed_by = {_BY_OP}", "confirmation_by_changer"),
]  # fmt: skip


async def test_what_each_approval_saw_is_held(region: Region) -> None:
    await region.load(bill("A"))
    for key in ("1", "2"):
        await region.pay(key, "A", 10_000)
        await region.approve(f"a{key}", batch_id((await region.close(f"c{key}"))["id"]))
    context, boss = region.worker.context, region.callers["boss"]
    claim = region.claim("boss", "k1", "recipient_confirmations")
    await versions.confirm_recipient(context, claim, boss, "uk", 1)
    claim = region.claim("boss", "k2", "surcharge_confirmations")
    version = await region.number("SELECT max(version) FROM surcharge_terms")
    await versions.confirm_surcharge(context, claim, boss, CARD, version)
    assert await problems(region.conn) == set()
    await free_hand(region.conn)
    for damage, check in _APPROVED:
        transaction = region.conn.transaction()
        await transaction.start()
        try:
            await region.conn.execute(damage)
            found = await problems(region.conn)
            assert check in found, damage
        finally:
            await transaction.rollback()
    assert await problems(region.conn) == set()


async def test_what_an_older_program_approves_is_no_damage(region: Region) -> None:
    """It knows no approvals' table; the next approval takes down what it did."""
    await region.load(bill("A"))
    await region.pay("1", "A", 10_000)
    await region.approve("a1", batch_id((await region.close("c1"))["id"]))
    await free_hand(region.conn)
    for table in ("batch_approvals", "requisites_used", "batch_terms"):
        await region.conn.execute(f"DELETE FROM {table}")
    assert await problems(region.conn) == set()
    await region.pay("2", "A", 10_000)
    second = batch_id((await region.close("c2"))["id"])
    # Nobody is told to have looked at what the older program did not look at.
    told = await versions.of_batch(region.worker.context, second)
    assert told["changes"] != []
    await region.approve("a2", second)
    assert await problems(region.conn) == set()
    rows = await region.conn.fetch(
        "SELECT settlement_batch, two_people FROM batch_approvals ORDER BY number"
    )
    assert [tuple(row) for row in rows] == [(1, False), (2, True)]
