"""Money as gauges, by plain SQL over what is stored, for whoever watches.

Closed batches are summed from their positions; of the open one the rows themselves are read.
"""

from typing import Any

from msgspec import Struct

from gateway.audit import store


class MoneyGauges(Struct, frozen=True):
    """Kopecks out of balance, in suspense, and owed to recipients by kind; payouts by state."""

    imbalance: int
    suspense: int
    unsettled: dict[str, int]
    payouts: dict[str, int]


async def money(conn: Any) -> MoneyGauges:
    """The gauges as of one moment; a long day's rows may take longer than a payment ever may."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        await store.take_time(conn)
        batches = await store.uncounted(conn)
        return MoneyGauges(
            imbalance=await store.imbalance(conn, batches[0]),
            suspense=await store.suspense(conn),
            unsettled=await store.unsettled(conn, batches),
            payouts=await store.payouts_by_state(conn),
        )
