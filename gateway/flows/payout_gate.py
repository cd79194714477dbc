"""Before an approval: what the ledger owes, added up anew, and what was paid before.

Nothing of it changes once a batch is closed, so it is read without any lock: a day of a million
payments takes seconds to add up, and no payer may wait for that.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from gateway.flows.context import Context
from gateway.journal.db_transaction import reading
from gateway.payouts.plausibility import HISTORY_MAX, Limits, check
from gateway.settlement import store as settlement_store
from gateway.settlement.store import BatchRow, PositionRow


class Gate(Struct, frozen=True):
    """What one batch is compared with, in kopecks."""

    owed: int
    before: list[int]
    limits: Limits

    def check(self, row: BatchRow, positions: Sequence[PositionRow], *, named: bool) -> None:
        """Raises InvariantBroken or Refusal state_conflict, as payouts.plausibility does."""
        orders = sum(position.payable for position in positions)
        restored = row.restored_at is not None
        check(orders, self.owed, self.before, self.limits, restored=restored, named=named)


async def look(context: Context, batch: UUID) -> Gate | None:
    """What a closed batch is compared with; None for one that is not there or not closed."""
    settings = context.settings
    async with context.connection() as conn, reading(conn):
        row = await settlement_store.find(conn, batch)
        if row is None or row.state != "closed":
            return None
        owed = await settlement_store.ledger_owes(conn, row.number)
        before = await settlement_store.paid_before(conn, row.number, HISTORY_MAX)
    most = settings.batch_payout_max_roubles * 100
    limits = Limits(most, settings.payout_jump_times, settings.payout_jump_from_roubles * 100)
    return Gate(owed, before, limits)
