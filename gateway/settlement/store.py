"""SQL of settlement batches and positions."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.domain.refusals import InvariantBroken, Refusal

_CUT = "UPDATE cut SET settlement_batch = settlement_batch + 1 RETURNING settlement_batch - 1"
_ADD = """
    INSERT INTO settlement_batches (number, id, state, business_date, closed_at, closed_by)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
_UNCOUNTED = "SELECT number FROM settlement_batches WHERE state = 'cut' ORDER BY number"
_TO_PAY = """
    SELECT p.recipient, p.payable FROM positions AS p JOIN recipients AS r ON r.number = p.recipient
    WHERE p.settlement_batch = $1 AND p.payable > 0 ORDER BY r.id
"""
_NUMBER_ORDERS = """
    UPDATE positions AS p SET order_number = u.order_number
    FROM unnest($2::int[], $3::int[]) AS u (recipient, order_number)
    WHERE p.settlement_batch = $1 AND p.recipient = u.recipient
"""
_LATEST = """
    SELECT b.id, b.state, b.business_date, b.payments,
           (SELECT coalesce(sum(p.payable), 0)::bigint FROM positions AS p
            WHERE p.settlement_batch = b.number) AS payable
    FROM settlement_batches AS b ORDER BY b.number DESC LIMIT $1
"""
_BATCHES = """
    SELECT b.number, b.id, b.state, b.business_date, b.closed_at, c.name AS closed_by,
           b.payments, b.refunds, b.approved_at, a.name AS approved_by, b.restored_at
    FROM settlement_batches AS b
    JOIN callers AS c ON c.number = b.closed_by
    LEFT JOIN callers AS a ON a.number = b.approved_by
"""
_BATCH = _BATCHES + " WHERE b.id = $1"
_BATCH_NUMBERED = _BATCHES + " WHERE b.number = $1"
_POSITIONS = """
    SELECT r.id AS recipient, p.gross, p.commission, p.refunds, p.net, p.carried_in, p.returned,
           p.transferred, p.payable, p.carried_out, p.order_number
    FROM positions AS p JOIN recipients AS r ON r.number = p.recipient
    WHERE p.settlement_batch = $1 ORDER BY r.id
"""
_APPROVE = """
    UPDATE settlement_batches SET approved_at = $2, approved_by = $3, state = $4
    WHERE number = $1 AND state = $5
"""
_PAYER = "UPDATE settlement_batches SET payer_account = $2, payer_bic = $3 WHERE number = $1"
_MOVE = "UPDATE settlement_batches SET state = $2 WHERE number = $1 AND state = $3"
_ADD_EVENT = """
    INSERT INTO settlement_events (settlement_batch, event, state, at, caller, reason)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
_EVENTS = """
    SELECT e.event, e.state, e.at, c.name AS by, e.reason
    FROM settlement_events AS e JOIN callers AS c ON c.number = e.caller
    WHERE e.settlement_batch = $1 ORDER BY e.number
"""
# Rows that name the batch, as its seals do, are in nobody's way.
_LOCK = "SELECT number FROM settlement_batches WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED"
_BY_NUMBERS = """
    SELECT number, state FROM settlement_batches WHERE number = ANY ($1::int[])
    ORDER BY number FOR UPDATE
"""
_PAID_BEFORE = """
    SELECT sum(p.payable)::bigint AS paid
    FROM settlement_batches AS b JOIN positions AS p ON p.settlement_batch = b.number
    WHERE b.number < $1 AND b.approved_at IS NOT NULL AND b.state <> 'cancelled'
    GROUP BY b.number HAVING sum(p.payable) > 0 ORDER BY b.number DESC LIMIT $2
"""
_RESTORED = """
    UPDATE settlement_batches SET restored_at = $1 WHERE state IN ('cut', 'closed', 'approved')
"""
# Recipients whom a batch pays what batches out of a backup owed them and that were cancelled since:
# owed again at once, or carried from batch to batch, or cancelled once more.
_OUT_OF_BACKUP = """
    WITH RECURSIVE again AS (
        SELECT m.recipient, m.settlement_batch
        FROM settlement_batches AS b JOIN returned_money AS m ON m.from_batch = b.number
        WHERE b.restored_at IS NOT NULL AND b.state = 'cancelled'
        UNION
        SELECT a.recipient, f.settlement_batch
        FROM again AS a
        JOIN positions AS p
            ON p.settlement_batch = a.settlement_batch AND p.recipient = a.recipient
        JOIN settlement_batches AS b ON b.number = p.settlement_batch
        CROSS JOIN LATERAL (
            SELECT p.settlement_batch + 1 AS settlement_batch WHERE p.carried_out > 0
            UNION ALL
            SELECT m.settlement_batch FROM returned_money AS m
            WHERE b.state = 'cancelled' AND m.from_batch = p.settlement_batch
              AND m.recipient = p.recipient) AS f)
    SELECT EXISTS (
        SELECT FROM again AS a JOIN positions AS p USING (settlement_batch, recipient)
        WHERE a.settlement_batch = $1 AND p.payable > 0)
"""
# What does not fit this memory goes to disk; a sort by plan would move every record once more.
_STRINGING = "SET LOCAL work_mem = '32MB'; SET LOCAL enable_sort = off"
# Places are given in the order that reports are read in.
_LAY_OUT = r"""
    WITH moved AS (
        SELECT a.at, a.payment, NULL::uuid AS refund, a.subscriber_account, b.period, a.plan,
               a.shares, a.commissions, 0 AS kind
        FROM allocations AS a
        JOIN bills AS b ON b.subscriber_account = a.subscriber_account AND b.number = a.bill
        WHERE a.settlement_batch = $1
        UNION ALL
        SELECT r.refunded_at, r.payment, r.id, r.subscriber_account, b.period, r.plan, r.shares,
               NULL, 1
        FROM refunds AS r
        JOIN allocations AS a
            ON a.payment = r.payment AND a.subscriber_account = r.subscriber_account
        JOIN bills AS b ON b.subscriber_account = a.subscriber_account AND b.number = a.bill
        WHERE r.settlement_batch = $1 AND r.shares IS NOT NULL
        UNION ALL
        SELECT l.at, l.payment, l.id, l.subscriber_account, l.period, l.plan, l.shares,
               l.commissions, CASE l.kind WHEN 'refund' THEN 1 WHEN 'chargeback' THEN 5
                                          WHEN 'reversal' THEN 4 ELSE 2 + (l.sign < 0)::int END
        FROM moves AS l WHERE l.settlement_batch = $1),
    placed AS (
        SELECT *, row_number() OVER (ORDER BY at, payment, refund NULLS FIRST)::integer AS place
        FROM moved)
    INSERT INTO report_pages (settlement_batch, plan, block, records, content)
    SELECT $1, plan, place / $2, count(*),
           string_agg(int4send(place) || timestamptz_send(at) || uuid_send(payment)
                      || set_byte('\x00'::bytea, 0, kind)
                      || convert_to(subscriber_account || E'\n' || period || E'\n', 'UTF8')
                      || shares || coalesce(commissions, '\x00'::bytea), ''::bytea)
    FROM placed GROUP BY plan, place / $2
"""
_LAID_OUT = "SELECT EXISTS (SELECT FROM report_pages WHERE settlement_batch = $1)"
# Looked for plan by plan: the planner does not know yet that a batch was just laid out.
_LAID_PLANS = """
    SELECT mine.plan FROM (SELECT DISTINCT plan FROM split_plan_parts WHERE recipient = $2) AS mine
    CROSS JOIN LATERAL (SELECT FROM report_pages AS l
                        WHERE l.settlement_batch = $1 AND l.plan = mine.plan LIMIT 1) AS laid
"""
_REPORT_PLANS = """
    SELECT p.plan,
           array_agg(CASE WHEN p.recipient = $1 THEN p.service END ORDER BY p.place) AS services,
           (SELECT count(*) FROM split_plan_recipients AS r WHERE r.plan = p.plan) AS recipients,
           (SELECT r.place FROM split_plan_recipients AS r
            WHERE r.plan = p.plan AND r.recipient = $1) AS withheld_at
    FROM split_plan_parts AS p WHERE p.plan = ANY ($2::int[]) GROUP BY p.plan
"""
_BLOCKS = """
    SELECT block, sum(records) AS records FROM report_pages
    WHERE settlement_batch = $1 AND plan = ANY ($2::int[]) GROUP BY block ORDER BY block
"""
_PAGES = """
    SELECT plan, content FROM report_pages
    WHERE settlement_batch = $1 AND plan = ANY ($2::int[]) AND block BETWEEN $3 AND $4
"""
BLOCK_RECORDS = 32_768
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
    restored_at: datetime | None


class BatchSummary(Struct, frozen=True):
    """A settlement batch in a line; `payable` is what it pays, in kopecks."""

    id: UUID
    state: str
    business_date: date
    payments: int | None
    payable: int


class BatchEvent(Struct, frozen=True):
    """One step of a batch: what happened, where it led, when, by whom (a caller's name), why."""

    event: str
    state: str
    at: datetime
    by: str
    reason: str | None


class PositionRow(Struct, frozen=True):
    """One recipient's position in a batch, in kopecks."""

    recipient: str
    gross: int
    commission: int
    refunds: int
    net: int
    carried_in: int
    returned: int
    transferred: int
    payable: int
    carried_out: int
    order_number: int | None


class ReportPlan(Struct, frozen=True):
    """A plan as one recipient's report tells it.

    `services` by place, None where the share is another's; `withheld_at` is the recipient's place
    among the plan's `recipients`.
    """

    plan: int
    services: list[str | None]
    recipients: int
    withheld_at: int


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


async def find(conn: Any, batch: UUID) -> BatchRow | None:
    """A batch by its id."""
    row = await conn.fetchrow(_BATCH, batch)
    return None if row is None else BatchRow(*row.values())


async def find_numbered(conn: Any, number: int) -> BatchRow:
    """A batch that is there, by its number."""
    return BatchRow(*(await conn.fetchrow(_BATCH_NUMBERED, number)).values())


async def latest(conn: Any, count: int) -> list[BatchSummary]:
    """The latest batches, the newest first."""
    return [BatchSummary(*row.values()) for row in await conn.fetch(_LATEST, count)]


async def lock(conn: Any, batch: UUID) -> BatchRow | None:
    """As `find`, nobody else moving the batch on until the commit.

    Refuses `state_conflict` where somebody does: who holds up a close, and payers with it, waits
    for nobody who counts or approves.
    """
    if await conn.fetchval(_LOCK, batch) is None and await find(conn, batch) is not None:
        raise Refusal("state_conflict", "Expected a batch that nobody else works on; ask again")
    return await find(conn, batch)


async def positions(conn: Any, number: int) -> Sequence[PositionRow]:
    """The batch's positions by recipient id."""
    return [PositionRow(*row.values()) for row in await conn.fetch(_POSITIONS, number)]


async def payable(conn: Any, number: int) -> list[tuple[int, int]]:
    """Whom a counted batch pays (the recipient's number) and how many kopecks, by their ids."""
    return [tuple(row) for row in await conn.fetch(_TO_PAY, number)]


async def number_orders(
    conn: Any, number: int, recipients: Sequence[int], orders: Sequence[int]
) -> None:
    """Give the positions the numbers of the payment orders that will pay them."""
    await conn.execute(_NUMBER_ORDERS, number, recipients, orders)


async def approve(conn: Any, row: BatchRow, state: str, at: datetime, caller: int) -> None:
    """Write an approval down."""
    moved = await conn.execute(_APPROVE, row.number, at, caller, state, row.state)
    _check_moved(moved, row.state)


async def set_payer(conn: Any, number: int, account: str, bic: str) -> None:
    """Keep who pays the batch."""
    await conn.execute(_PAYER, number, account, bic)


async def move(conn: Any, number: int, state: str, following: str) -> None:
    """Move a batch on from the state it was seen in; InvariantBroken where it is in another."""
    _check_moved(await conn.execute(_MOVE, number, following, state), state)


def _check_moved(moved: str, state: str) -> None:
    if moved != "UPDATE 1":
        raise InvariantBroken(f"Expected a settlement batch in state {state}, was {moved}")


async def add_event(
    conn: Any, number: int, event: str, state: str, at: datetime, caller: int, reason: str | None
) -> None:
    """Keep a step of a batch."""
    await conn.execute(_ADD_EVENT, number, event, state, at, caller, reason)


async def events(conn: Any, number: int) -> list[BatchEvent]:
    """The steps of a batch since it was closed, in their order."""
    return [BatchEvent(*row.values()) for row in await conn.fetch(_EVENTS, number)]


async def lock_states(conn: Any, numbers: Sequence[int]) -> dict[int, str]:
    """The states of these batches, which nobody else moves on until the commit."""
    return {row["number"]: row["state"] for row in await conn.fetch(_BY_NUMBERS, numbers)}


async def paid_before(conn: Any, number: int, batches: int) -> list[int]:
    """What approved batches before this one paid, in kopecks, the newest first."""
    return [row["paid"] for row in await conn.fetch(_PAID_BEFORE, number, batches)]


async def mark_restored(conn: Any, at: datetime) -> None:
    """Mark the batches that may have been paid since the backup that they came out of."""
    await conn.execute(_RESTORED, at)


async def out_of_backup(conn: Any, number: int) -> bool:
    """Whether a batch pays anything that a batch out of a backup owed before it was cancelled."""
    found: bool = await conn.fetchval(_OUT_OF_BACKUP, number)
    return found


async def laid_out(conn: Any, number: int) -> bool:
    """Whether the rows of a batch are laid out for its reports, or there are none."""
    found: bool = await conn.fetchval(_LAID_OUT, number)
    return found


async def lay_out(conn: Any, number: int) -> None:
    """Lay the rows of a counted batch out for its reports, in a transaction of one at a time."""
    if not await laid_out(conn, number):
        await conn.execute(_STRINGING)
        await conn.execute(_LAY_OUT, number, BLOCK_RECORDS, timeout=COUNT_TIMEOUT_S)


async def report_plans(conn: Any, number: int, recipient: int) -> list[ReportPlan]:
    """The plans by which a recipient received anything in a batch that is laid out."""
    laid = [row["plan"] for row in await conn.fetch(_LAID_PLANS, number, recipient)]
    rows = await conn.fetch(_REPORT_PLANS, recipient, laid)
    return [ReportPlan(*row.values()) for row in rows]


async def report_blocks(
    conn: Any, number: int, plans: Sequence[int], records_max: int
) -> list[tuple[int, int]]:
    """Runs of blocks (first, last), one after another.

    Each has at most `records_max` records of the plans, or is a single block.
    """
    blocks: list[tuple[int, int]] = []
    room = 0
    for row in await conn.fetch(_BLOCKS, number, plans):
        if row["records"] > room:
            blocks.append((row["block"], row["block"]))
            room = records_max
        blocks[-1] = (blocks[-1][0], row["block"])
        room -= row["records"]
    return blocks


async def report_pages(
    conn: Any, number: int, plans: Sequence[int], blocks: tuple[int, int]
) -> list[tuple[int, bytes]]:
    """(plan, records) of the plans within blocks."""
    return [tuple(row) for row in await conn.fetch(_PAGES, number, plans, *blocks)]
