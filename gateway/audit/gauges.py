"""Money as gauges, by plain SQL over what is stored, for whoever watches.

Closed batches are summed from their positions; of the open one the rows themselves are read.
"""

from typing import Any

from msgspec import Struct

_MONEY = """
    SELECT coalesce(sum(credit_kopecks - debit_kopecks), 0)::bigint AS imbalance FROM ledger
    WHERE settlement_batch = (SELECT settlement_batch FROM cut)
"""
_SUSPENSE = """
    SELECT (SELECT coalesce(sum(amount), 0) FROM payments WHERE bill IS NULL)
         - (SELECT coalesce(sum(amount), 0) FROM resolutions)
         - (SELECT coalesce(sum(amount), 0) FROM refunds WHERE shares IS NULL) AS suspense
"""
_UNSETTLED = """
    SELECT r.kind, sum(u.kopecks)::bigint AS kopecks
    FROM (SELECT recipient, amount_kopecks AS kopecks FROM shares
          WHERE settlement_batch >= (SELECT min(number) FROM (
                SELECT settlement_batch AS number FROM cut
                UNION ALL SELECT number FROM settlement_batches WHERE state = 'cut') AS o)
          UNION ALL
          SELECT recipient, -commission_kopecks FROM commissions
          WHERE settlement_batch >= (SELECT min(number) FROM (
                SELECT settlement_batch AS number FROM cut
                UNION ALL SELECT number FROM settlement_batches WHERE state = 'cut') AS o)
          UNION ALL
          SELECT p.recipient, p.payable FROM positions AS p
          JOIN settlement_batches AS b ON b.number = p.settlement_batch
          WHERE b.state = 'closed') AS u
    JOIN recipients AS r ON r.number = u.recipient GROUP BY r.kind
"""
_PAYOUTS = "SELECT state, count(*) AS payouts FROM payouts GROUP BY state"


class MoneyGauges(Struct, frozen=True):
    """Kopecks out of balance, in suspense, and owed to recipients by kind; payouts by state."""

    imbalance: int
    suspense: int
    unsettled: dict[str, int]
    payouts: dict[str, int]


async def money(conn: Any) -> MoneyGauges:
    """The gauges as of now."""
    unsettled = await conn.fetch(_UNSETTLED)
    payouts = await conn.fetch(_PAYOUTS)
    return MoneyGauges(
        imbalance=await conn.fetchval(_MONEY),
        suspense=int(await conn.fetchval(_SUSPENSE)),
        unsettled={row["kind"]: row["kopecks"] for row in unsettled},
        payouts={row["state"]: row["payouts"] for row in payouts},
    )
