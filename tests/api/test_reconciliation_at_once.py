"""Reconciliation with everybody at work at once, and with rows that somebody has changed."""

import asyncio
from typing import Any

import asyncpg

from gateway.audit import report as audit_report
from gateway.flows import reconcile
from tests.acquirer_reports.files import Told as Row
from tests.acquirer_reports.files import sber12
from tests.api.conftest import Gateway
from tests.api.test_reconciliation import (
    arrival,
    audited,
    came,
    closed,
    day,
    paid,
    reported,
    stated,
    terms,
    worklist,
)
from tests.payouts.statement_files import camt053, one_c


async def three_reports(gateway: Gateway, *, come: bool = False) -> list[str]:
    """Payments of which each has a report of its own: 1 000.00, 200.00 and 7.00 less 0.8 %.

    With `come` the money of each is there before the next is reported.
    """
    found = []
    for n, (amount, fee) in enumerate(((100_000, 800), (20_000, 160), (700, 6))):
        found.append(await paid(gateway, f"op-{n}", amount))
        await reported(gateway, sber12([Row(f"op-{n}", "220012345", amount, fee=fee)]))
        if come:
            await stated(gateway, came(amount - fee, f"1{n}"))
    return found


async def test_statements_that_are_taken_at_once_bring_money_once(region: Gateway) -> None:
    """Two people load the bank's file, each in another form, while the gateway matches."""
    await terms(region)
    payments = await three_reports(region)
    context = region.door._house.context
    told = [came(99_200, "11"), came(19_840, "12"), came(694, "13")]
    answers = await asyncio.gather(
        *(stated(region, *told, write=write) for write in (one_c, camt053, one_c, camt053)),
        *(reconcile.match_all(context) for _ in range(3)),
    )
    taken = [answer for answer in answers if answer is not None]
    # Each form is a file of its own, and the same file again gets its first answer.
    assert sorted(len(answer["incoming"]) for answer in taken) in ([0, 0, 3, 3], [0, 3, 3, 3])
    await reconcile.match_all(context)
    assert [(await arrival(region, id_))["arrival"] for id_ in payments] == ["arrived"] * 3
    conn = await asyncpg.connect(region.database_url)
    try:
        assert (
            await conn.fetchval("SELECT sum(amount) FROM incoming_money") == 99_200 + 19_840 + 694
        )
        assert (
            await conn.fetchval("SELECT sum(amount) FROM arrived_reports") == 99_200 + 19_840 + 694
        )
    finally:
        await conn.close()
    assert await worklist(region) == []
    await audited(region)


async def test_a_statement_beside_closes_refunds_and_payments(region: Gateway) -> None:
    await terms(region)
    payments = await three_reports(region)

    async def give_back(id_: str, amount: int) -> None:
        path = f"/v1/payments/{id_}/refunds"
        answer = await region.send(
            "POST", path, {"amount": amount}, role="acquirer", key=f"back-{id_}-{amount}"
        )
        assert answer.status == 201, answer.content

    await asyncio.gather(
        stated(region, came(99_200, "11"), came(19_840, "12")),
        *(give_back(id_, 100) for id_ in payments),
        *(closed(region) for _ in range(3)),
        *(paid(region, f"more-{n}", 1_000) for n in range(20)),
        stated(region, came(694, "13")),
        *(give_back(id_, 50) for id_ in payments),
    )
    await closed(region)
    await reconcile.match_all(region.door._house.context)
    assert [(await arrival(region, id_))["arrival"] for id_ in payments] == ["arrived"] * 3
    sides = (await day(region))["acquirer"]
    assert (sides["arrived"], sides["refunded"]) == (100_000 + 20_000 + 700, 3 * 150)
    assert sides["not_arrived"] == 20 * 1_000
    await audited(region)


# A row that somebody changes, takes away or adds: what the audit says of it.
CHANGES = [
    ("UPDATE arrivals SET caller = (SELECT min(number) FROM callers WHERE role = 'operator')",
     {"arrival_line_wrong", "report_arrived_wrong", "payment_arrived_wrong"}),
    ("UPDATE arrivals SET is_fee = NOT is_fee", {"arrival_line_wrong", "report_arrived_wrong"}),
    ("DELETE FROM arrivals", {"arrival_line_wrong"}),
    ("INSERT INTO arrivals SELECT gen_random_uuid(), caller, is_fee, rule, at FROM arrivals",
     {"arrival_unbalanced"}),
    ("UPDATE arrival_lines SET amount = amount + 1", {"arrival_unbalanced", "arrival_line_wrong"}),
    ("UPDATE arrival_lines SET arrival = (SELECT max(id::text)::uuid FROM arrivals)",
     {"arrival_unbalanced"}),
    ("UPDATE arrival_lines SET line = line + 100", {"arrival_line_wrong"}),
    ("UPDATE arrival_lines SET statement = gen_random_uuid()", {"arrival_line_wrong"}),
    ("DELETE FROM arrival_lines", {"arrival_unbalanced"}),
    ("UPDATE arrived_reports SET amount = amount + 1",
     {"arrival_unbalanced", "report_arrived_wrong"}),
    ("UPDATE arrived_reports SET withheld = withheld + 1", {"report_arrived_wrong"}),
    ("UPDATE arrived_reports SET amount = amount + 1, withheld = withheld - 1",
     {"arrival_unbalanced"}),
    ("UPDATE arrived_reports SET is_fee = NOT is_fee", {"report_arrived_wrong"}),
    ("UPDATE arrived_reports SET report = gen_random_uuid()", {"report_arrived_wrong"}),
    ("UPDATE arrived_reports SET arrival = gen_random_uuid()", {"arrival_unbalanced"}),
    ("DELETE FROM arrived_reports", {"arrival_unbalanced"}),
    ("INSERT INTO arrived_reports SELECT report, true, arrival, amount, 0 FROM arrived_reports",
     {"arrival_unbalanced", "report_arrived_wrong"}),
    ("INSERT INTO arrived_payments SELECT id, subscriber_account, (SELECT max(id::text)::uuid"
     " FROM arrivals), 1, total - 1 FROM payments WHERE id = (SELECT min(id::text)::uuid"
     " FROM payments)", {"arrival_unbalanced", "payment_arrived_wrong"}),
    ("UPDATE incoming_money SET amount = amount + 1",
     {"arrival_line_wrong", "incoming_exceeds_statement"}),
    ("UPDATE incoming_money SET amount = amount - 1", {"arrival_line_wrong"}),
    ("UPDATE incoming_money SET caller = (SELECT min(number) FROM callers"
     " WHERE role = 'operator')", {"arrival_line_wrong"}),
    ("UPDATE incoming_money SET is_fee = true", {"arrival_line_wrong"}),
    ("UPDATE incoming_money SET line = line + 100",
     {"arrival_line_wrong", "incoming_exceeds_statement"}),
    ("UPDATE incoming_money SET statement = gen_random_uuid()", {"arrival_line_wrong"}),
    ("DELETE FROM incoming_money", {"arrival_line_wrong"}),
]  # fmt: skip


async def test_the_audit_names_whatever_is_changed_of_what_has_come(region: Gateway) -> None:
    await terms(region)
    await three_reports(region, come=True)
    await audited(region)
    conn = await asyncpg.connect(region.database_url)
    try:
        for change, expected in CHANGES:
            async with Trial(conn):
                await conn.execute(change)
                told: Any = await audit_report.audit(conn)
                found = {one["check"]: one["row"] for one in told["problems"]}
                assert set(found) & expected, (change, found)
                assert all(row not in ("", "?") for row in found.values()), (change, found)
    finally:
        await conn.close()


class Trial:
    """A transaction of somebody who may do everything, undone at its end."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        self._conn, self._transaction = conn, conn.transaction()

    async def __aenter__(self) -> None:
        await self._transaction.start()
        await self._conn.execute("SET LOCAL session_replication_role = replica")

    async def __aexit__(self, *failure: object) -> None:
        await self._transaction.rollback()
