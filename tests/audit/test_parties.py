"""The audit holds each recipient to its versions: every column of either, changed by hand."""

import asyncpg
from msgspec import structs

from gateway.audit import store_parties
from gateway.domain.party import BankAccount, Recipient
from gateway.flows import set_terms
from splitcore import FeeRule
from tests.audit.test_corruption import free_hand, world_on

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
