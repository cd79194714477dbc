"""SQL of settlement batches and positions."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.settlement.netting import Netting

_CUT = "UPDATE cut SET settlement_batch = settlement_batch + 1 RETURNING settlement_batch - 1"
_ADD = """
    INSERT INTO settlement_batches (number, id, state, business_date, closed_at, closed_by)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
_UNCOUNTED = "SELECT number FROM settlement_batches WHERE state = 'cut' ORDER BY number"
_SPLITS = "SELECT plan, shares, commissions FROM allocations WHERE settlement_batch = $1"
_REFUNDS = "SELECT plan, shares FROM refunds WHERE settlement_batch = $1 AND shares IS NOT NULL"
_COUNT = """
    WITH moved AS (
        SELECT p.recipient, m.kopecks AS gross, 0 AS refunds, 0 AS commission, 0 AS carried_in
        FROM unnest($2::int[], $3::int[], $4::bigint[]) AS m (plan, place, kopecks)
        JOIN split_plan_parts AS p USING (plan, place)
        UNION ALL
        SELECT p.recipient, 0, m.kopecks, 0, 0
        FROM unnest($5::int[], $6::int[], $7::bigint[]) AS m (plan, place, kopecks)
        JOIN split_plan_parts AS p USING (plan, place)
        UNION ALL
        SELECT p.recipient, 0, 0, m.kopecks, 0
        FROM unnest($8::int[], $9::int[], $10::bigint[]) AS m (plan, place, kopecks)
        JOIN split_plan_recipients AS p USING (plan, place)
        UNION ALL
        SELECT recipient, 0, 0, 0, carried_out FROM positions
        WHERE settlement_batch = $1 - 1 AND carried_out <> 0),
    balance AS (
        SELECT recipient, sum(gross)::bigint AS gross, sum(refunds)::bigint AS refunds,
               sum(commission)::bigint AS commission, sum(carried_in)::bigint AS carried_in
        FROM moved GROUP BY recipient)
    INSERT INTO positions (settlement_batch, recipient, gross, commission, refunds, net,
                           carried_in, payable, carried_out)
    SELECT $1, recipient, gross, commission, refunds, gross - commission - refunds, carried_in,
           greatest(carried_in + gross - commission - refunds, 0),
           least(carried_in + gross - commission - refunds, 0)
    FROM balance
"""
_COUNTED = """
    UPDATE settlement_batches
    SET state = $2, payments = $3,
        refunds = (SELECT count(*) FROM refunds WHERE settlement_batch = $1)
    WHERE number = $1
"""
_BATCH = """
    SELECT b.number, b.id, b.state, b.business_date, b.closed_at, c.name AS closed_by,
           b.payments, b.refunds, b.approved_at, a.name AS approved_by
    FROM settlement_batches AS b
    JOIN callers AS c ON c.number = b.closed_by
    LEFT JOIN callers AS a ON a.number = b.approved_by
    WHERE b.id = $1
"""
_POSITIONS = """
    SELECT r.id AS recipient, p.gross, p.commission, p.refunds, p.net, p.carried_in, p.payable,
           p.carried_out
    FROM positions AS p JOIN recipients AS r ON r.number = p.recipient
    WHERE p.settlement_batch = $1 ORDER BY r.id
"""
_APPROVE = """
    UPDATE settlement_batches SET state = $2, approved_at = $3, approved_by = $4 WHERE number = $1
"""
# Written from the allocations and not from the views over them: the planner would join each
# share with every commission of the batch.
_REPORT = """
    SELECT a.at, a.subscriber_account, part.service, b.period, s.kopecks AS amount_kopecks,
           a.payment, NULL::uuid AS refund, coalesce(c.kopecks, 0) AS commission_kopecks, s.place
    FROM allocations AS a
    CROSS JOIN LATERAL unpack(a.shares) AS s
    JOIN split_plan_parts AS part ON part.plan = a.plan AND part.place = s.place
    JOIN bills AS b ON b.subscriber_account = a.subscriber_account AND b.number = a.bill
    LEFT JOIN LATERAL (
        SELECT withheld.kopecks FROM split_plan_recipients AS r
        JOIN unpack(a.commissions) AS withheld ON withheld.place = r.place
        WHERE r.plan = a.plan AND r.recipient = part.recipient) AS c ON true
    WHERE a.settlement_batch = $1 AND part.recipient = $2 AND s.kopecks > 0
    UNION ALL
    SELECT s.at, s.subscriber_account, s.service, b.period, s.amount_kopecks, s.payment,
           s.refund, 0, s.place
    FROM shares AS s
    JOIN allocations AS a ON a.payment = s.payment AND a.subscriber_account = s.subscriber_account
    JOIN bills AS b ON b.subscriber_account = a.subscriber_account AND b.number = a.bill
    WHERE s.settlement_batch = $1 AND s.recipient = $2 AND s.refund IS NOT NULL
    ORDER BY at, payment, refund NULLS FIRST, place
"""
ROWS_AT_ONCE = 2000
COUNT_TIMEOUT_S = 600.0


class BatchRow(Struct, frozen=True):
    """A settlement batch; `closed_by` and `approved_by` are callers' names."""

    number: int
    id: UUID
    state: str
    business_date: date
    closed_at: datetime
    closed_by: str
    payments: int | None
    refunds: int | None
    approved_at: datetime | None
    approved_by: str | None


class PositionRow(Struct, frozen=True):
    """One recipient's position in a batch, in kopecks."""

    recipient: str
    gross: int
    commission: int
    refunds: int
    net: int
    carried_in: int
    payable: int
    carried_out: int


class ShareRow(Struct, frozen=True, gc=False):
    """A share of a batch as its recipient's report needs it.

    `commission` is what was withheld from the recipient in the whole payment; a refund's amount
    is negative.
    """

    at: datetime
    subscriber_account: str
    service: str
    period: str
    amount: int
    payment: UUID
    refund: UUID | None
    commission: int


async def cut(conn: Any) -> int:
    """Cut the open batch off and open the next; its number. The caller holds the cut lock."""
    number: int = await conn.fetchval(_CUT)
    return number


async def add(
    conn: Any, number: int, batch: UUID, state: str, day: date, at: datetime, caller: int
) -> None:
    """Store a batch that was just cut."""
    await conn.execute(_ADD, number, batch, state, day, at, caller)


async def uncounted(conn: Any) -> list[int]:
    """Numbers of batches that were cut and have no positions yet, oldest first."""
    return [row["number"] for row in await conn.fetch(_UNCOUNTED)]


async def count(conn: Any, number: int, state: str) -> None:
    """Net the batch's rows into positions; batches are counted in the order of their numbers.

    The rows pass through the kernel's sums: the database would take several times as long to
    unpack them. The audit adds them up again in SQL.
    """
    netting = Netting()
    async for row in _pages(conn, _SPLITS, number):
        netting.split(row["plan"], row["shares"], row["commissions"])
    async for row in _pages(conn, _REFUNDS, number):
        netting.refund(row["plan"], row["shares"])
    columns: list[list[int]] = []
    for sums in (netting.shared(), netting.returned(), netting.withheld()):
        columns += [[entry[at] for entry in sums] for at in range(3)]
    await conn.execute(_COUNT, number, *columns)
    await conn.execute(_COUNTED, number, state, netting.splits, timeout=COUNT_TIMEOUT_S)


async def _pages(conn: Any, query: str, number: int) -> AsyncIterator[Any]:
    cursor = await conn.cursor(query, number, timeout=COUNT_TIMEOUT_S)
    while rows := await cursor.fetch(ROWS_AT_ONCE, timeout=COUNT_TIMEOUT_S):
        for row in rows:
            yield row


async def find(conn: Any, batch: UUID) -> BatchRow | None:
    """A batch by its id."""
    row = await conn.fetchrow(_BATCH, batch)
    return None if row is None else BatchRow(*row.values())


async def lock(conn: Any, batch: UUID) -> BatchRow | None:
    """As `find`, nobody else moving the batch on until the commit."""
    await conn.execute("SELECT 1 FROM settlement_batches WHERE id = $1 FOR UPDATE", batch)
    return await find(conn, batch)


async def positions(conn: Any, number: int) -> Sequence[PositionRow]:
    """The batch's positions by recipient id."""
    return [PositionRow(*row.values()) for row in await conn.fetch(_POSITIONS, number)]


async def approve(conn: Any, number: int, state: str, at: datetime, caller: int) -> None:
    """Write an approval down."""
    await conn.execute(_APPROVE, number, state, at, caller)


async def report_rows(conn: Any, number: int, recipient: int) -> AsyncIterator[ShareRow]:
    """The shares of a recipient in a batch, in order of time; the conn is in a transaction."""
    async for row in conn.cursor(
        _REPORT, number, recipient, prefetch=ROWS_AT_ONCE, timeout=COUNT_TIMEOUT_S
    ):
        *columns, _ = row.values()
        yield ShareRow(*columns)
