"""SQL of what one recipient sees of settlement: its own batches, and what is coming to it.

Must not read anything of another recipient, nor a sum of several.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.settlement.store import PositionRow

_PAGE = """
    SELECT b.id, b.state, b.business_date, d.settlement_date, b.closed_at, b.payments,
           (SELECT coalesce(sum(p.payable), 0)::bigint FROM positions AS p
            WHERE p.settlement_batch = b.number) AS payable
    FROM settlement_batches AS b LEFT JOIN batch_dates AS d ON d.settlement_batch = b.number
    WHERE ($1::int IS NULL OR b.number < $1) AND ($2::text IS NULL OR b.state = $2)
    ORDER BY b.number DESC LIMIT $3
"""
# A batch's own state tells of other recipients' orders: to one it stands as its own order does.
_OWN = """
    SELECT * FROM (
        SELECT b.number, b.id,
               CASE WHEN b.state IN ('closed', 'cancelled') THEN b.state
                    ELSE coalesce(o.state, 'approved') END AS state,
               b.business_date, d.settlement_date, b.closed_at, b.approved_at,
               o.id AS payout, o.amount, o.order_number AS ordered, o.order_date,
               $1::text AS recipient, p.gross, p.commission, p.refunds, p.net, p.carried_in,
               p.returned, p.transferred, p.payable, p.carried_out, p.order_number
        FROM settlement_batches AS b
        JOIN positions AS p ON p.settlement_batch = b.number
            AND p.recipient = (SELECT r.number FROM recipients AS r WHERE r.id = $1)
        LEFT JOIN batch_dates AS d ON d.settlement_batch = b.number
        LEFT JOIN payouts AS o
            ON o.settlement_batch = b.number AND o.recipient = p.recipient) AS own
"""
_OWN_PAGE = (
    _OWN
    + """
    WHERE ($2::int IS NULL OR number < $2) AND ($3::text IS NULL OR state = $3)
    ORDER BY number DESC LIMIT $4
"""
)
_OWN_BATCH = _OWN + " WHERE id = $2"
_NUMBER = "SELECT number FROM settlement_batches WHERE id = $1"
# Batches without positions: those that were cut and are not counted, and the open one.
_UNCOUNTED = """
    SELECT number FROM settlement_batches WHERE state = 'cut'
    UNION ALL SELECT settlement_batch FROM cut ORDER BY 1
"""
_NUMBERS = "SELECT number FROM recipients"
_BALANCE = """
    SELECT coalesce((SELECT carried_out FROM positions
                     WHERE recipient = $1 AND settlement_batch = $2 - 1), 0)::bigint AS carried_in,
           ((SELECT coalesce(sum(amount), 0) FROM returned_money
             WHERE recipient = $1 AND settlement_batch >= $2)
            + (SELECT coalesce(sum(amount), 0) FROM debt_settlements
               WHERE recipient = $1 AND settlement_batch >= $2)
            + (SELECT coalesce(sum(amount), 0) FROM paid_before
               WHERE recipient = $1 AND settlement_batch >= $2))::bigint AS returned,
           waited_since($2, $1) AS since,
           (SELECT coalesce(sum(remaining), 0)::bigint FROM open_obligations
            WHERE debtor = $1) AS owed,
           (SELECT coalesce(sum(o.remaining), 0)::bigint FROM open_obligations AS o
            JOIN obligations AS d ON d.number = o.obligation WHERE d.creditor = $1) AS due
"""
_ON_THE_WAY = """
    SELECT count(*) OVER () AS orders, sum(amount) OVER ()::bigint AS together, w.*
    FROM (SELECT b.id, p.payable AS amount, coalesce(o.state, b.state) AS state, d.settlement_date,
                 o.order_number, o.order_date, b.number
          FROM positions AS p JOIN settlement_batches AS b ON b.number = p.settlement_batch
          LEFT JOIN batch_dates AS d ON d.settlement_batch = b.number
          LEFT JOIN payouts AS o ON o.settlement_batch = b.number AND o.recipient = p.recipient
          WHERE p.recipient = $1 AND p.payable > 0
            AND (b.state = 'closed' OR o.state IN ('approved', 'sent'))) AS w
    ORDER BY w.number DESC LIMIT $2
"""


class BatchLine(Struct, frozen=True):
    """A batch in a line, as who sees all of it reads it; `payable` is what it pays, in kopecks."""

    id: UUID
    state: str
    business_date: date
    settlement_date: date | None
    closed_at: datetime
    payments: int | None
    payable: int


class OwnPayout(Struct, frozen=True):
    """The payment order of a recipient in a batch, in kopecks."""

    id: UUID
    amount: int
    state: str
    order_number: int
    order_date: date


class OwnBatch(Struct, frozen=True):
    """A batch as one recipient reads it; `state` is that of its order where there is one."""

    number: int
    id: UUID
    state: str
    business_date: date
    settlement_date: date | None
    closed_at: datetime
    approved_at: datetime | None
    payout: OwnPayout | None
    position: PositionRow


class Balance(Struct, frozen=True):
    """What stands beside the open batch, in kopecks: carried over (below zero is a debt), owed
    again, `since` when it waits, and what remains of obligations, from it and to it.
    """

    carried_in: int
    returned: int
    since: date | None
    owed: int
    due: int


class OnTheWay(Struct, frozen=True):
    """What a counted batch pays that the bank has not paid yet."""

    batch: UUID
    amount: int
    state: str
    settlement_date: date | None
    order_number: int | None
    order_date: date | None


async def number_of(conn: Any, batch: UUID) -> int | None:
    """A batch's number by its id."""
    found: int | None = await conn.fetchval(_NUMBER, batch)
    return found


async def page(conn: Any, before: int | None, state: str | None, limit: int) -> list[BatchLine]:
    """Batches before a number, the newest first."""
    return [BatchLine(*row.values()) for row in await conn.fetch(_PAGE, before, state, limit)]


async def own_page(
    conn: Any, recipient: str, before: int | None, state: str | None, limit: int
) -> list[OwnBatch]:
    """A recipient's batches before a number, the newest first."""
    rows = await conn.fetch(_OWN_PAGE, recipient, before, state, limit)
    return [_own(row) for row in rows]


async def own_batch(conn: Any, recipient: str, batch: UUID) -> OwnBatch | None:
    """One batch, where the recipient has a position in it."""
    row = await conn.fetchrow(_OWN_BATCH, recipient, batch)
    return None if row is None else _own(row)


def _own(row: Any) -> OwnBatch:
    payout = None
    if row["payout"] is not None:
        payout = OwnPayout(
            row["payout"], row["amount"], row["state"], row["ordered"], row["order_date"]
        )
    return OwnBatch(
        row["number"],
        row["id"],
        row["state"],
        row["business_date"],
        row["settlement_date"],
        row["closed_at"],
        row["approved_at"],
        payout,
        PositionRow(*(row[name] for name in PositionRow.__struct_fields__)),
    )


async def uncounted(conn: Any) -> list[int]:
    """Numbers of the batches that have no positions yet, the open one last."""
    return [row["number"] for row in await conn.fetch(_UNCOUNTED)]


async def recipients(conn: Any) -> list[int]:
    """Every recipient's number."""
    return [row["number"] for row in await conn.fetch(_NUMBERS)]


async def balance(conn: Any, recipient: int, first: int) -> Balance:
    """What stands beside the batches without positions, of which `first` is the first."""
    return Balance(*(await conn.fetchrow(_BALANCE, recipient, first)).values())


async def on_the_way(conn: Any, recipient: int, limit: int) -> tuple[int, int, Sequence[OnTheWay]]:
    """How many orders there are, their sum in kopecks, and the newest of them."""
    rows = await conn.fetch(_ON_THE_WAY, recipient, limit)
    if not rows:
        return 0, 0, []
    found = [OnTheWay(*list(row.values())[2:-1]) for row in rows]
    return rows[0]["orders"], rows[0]["together"], found
