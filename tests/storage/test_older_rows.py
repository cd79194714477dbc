"""Rows made before versions and approvals were kept: who was alone with them stays alone."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway.audit import store_parties
from gateway.settlement import store_approvals
from gateway.settlement.store_approvals import Used
from gateway.storage.migrate import MIGRATIONS, migrate

_ROWS = """
    INSERT INTO callers (name, role) VALUES
        ('ann', 'operator'), ('ben', 'approver'), ('ann', 'approver');
    INSERT INTO recipients (id, name, kind, inn, bic, account, set_at, set_by) VALUES
        ('centre', 'C', 'centre', '7707083893', '044525225', '40702810138250123017',
         '2026-01-01', 1),
        ('seen', 'S', 'supplier', '7707083893', '049401601', '40702810268000010356',
         '2026-01-01', 1),
        ('moved', 'M', 'supplier', '7707083893', '046015602', '40702810952090030727',
         '2026-01-02 06:00', 1),
        ('alone', 'A', 'supplier', '7707083893', '044525225', '40702810138250123017',
         '2026-01-01', 1);
    INSERT INTO commission_terms (recipient, version, ppm, fixed, min, set_at, set_by)
        SELECT number, number, 0, 0, 0, '2026-01-01', 1 FROM recipients;
    INSERT INTO surcharge_terms (method, version, ppm, fixed, min, set_at, set_by) VALUES
        (0, 5, 10000, 0, 0, '2026-01-01', 1), (1, 6, 10000, 0, 0, '2026-01-03', 1);
    UPDATE cut SET settlement_batch = 4, terms_version = 6;
    INSERT INTO settlement_batches (number, id, state, business_date, closed_at, closed_by,
                                    payments, refunds, approved_at, approved_by, payer_account,
                                    payer_bic) VALUES
        (1, gen_random_uuid(), 'approved', '2026-01-01', '2026-01-01 20:00', 1, 1, 0,
         '2026-01-02', 2, '40702810138250123017', '044525225'),
        (2, gen_random_uuid(), 'approved', '2026-01-02', '2026-01-02 20:00', 1, 1, 0,
         '2026-01-03', 3, '40702810138250123017', '044525225'),
        (3, gen_random_uuid(), 'closed', '2026-01-03', '2026-01-03 20:00', 1, 1, 0, NULL, NULL,
         NULL, NULL);
    INSERT INTO positions (settlement_batch, recipient, gross, commission, refunds, net,
                           carried_in, payable, carried_out)
        SELECT b.number, r.number, 5, 0, 0, 5, 0, 5, 0
        FROM settlement_batches AS b JOIN recipients AS r ON r.id <> 'centre'
        WHERE b.number = 3 OR r.id = 'alone' AND b.number = 2 OR r.id <> 'alone' AND b.number = 1;
    INSERT INTO payouts (id, settlement_batch, recipient, state, amount, order_number, order_date,
                         name, inn, bic, account, purpose)
        SELECT gen_random_uuid(), p.settlement_batch, p.recipient, 'approved', p.payable,
               p.settlement_batch * 10 + p.recipient, '2026-01-05', r.name, r.inn,
               CASE r.id WHEN 'moved' THEN '049401601' ELSE r.bic END,
               CASE r.id WHEN 'moved' THEN '40702810268000010356' ELSE r.account END, 'x'
        FROM positions AS p JOIN recipients AS r ON r.number = p.recipient
        WHERE p.settlement_batch < 3;
"""


@pytest.fixture
async def conn(empty_database_url: str, tmp_path: Path) -> AsyncIterator[asyncpg.Connection]:
    """A database of the schema before, with rows, brought to today's."""
    for path in sorted(MIGRATIONS.glob("*.sql"))[:32]:
        shutil.copy(path, tmp_path)
    opened = await asyncpg.connect(empty_database_url)
    await migrate(opened, tmp_path)
    await opened.execute(_ROWS)
    await migrate(opened)
    yield opened
    await opened.close()


async def test_what_two_people_had_looked_at_is_known_and_nothing_else(
    conn: asyncpg.Connection,
) -> None:
    used = [Used(number, number == 1, 1, None) for number in (1, 2, 3, 4)]
    found = await store_approvals.changes(conn, 3, used)
    assert [(one.what, one.of, one.set_by) for one in found] == [
        # Nobody else paid it; and what was paid was another account.
        ("requisites", "alone", "ann"),
        ("requisites", "moved", "ann"),
        ("commission", "alone", "ann"),
        ("surcharge", "mir", "ann"),
    ]


async def test_the_audit_holds_what_it_can_know(conn: asyncpg.Connection) -> None:
    assert [problem async for problem in store_parties.broken(conn)] == []
    # Ann approved the second batch alone, when nobody looked; that is told by its row.
    rows = await conn.fetch("SELECT settlement_batch, two_people FROM batch_approvals")
    assert [tuple(row) for row in rows] == [(1, False), (2, False)]
