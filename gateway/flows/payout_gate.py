"""Before an approval: what the ledger owes, added up anew, and what was paid before.

Nothing of it changes once a batch is closed, so it is read without any lock: a day of a million
payments takes seconds to add up, and no payer may wait for that.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from gateway.domain.ids import PAYMENT, shown
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.journal.db_transaction import reading
from gateway.payouts.plausibility import HISTORY_MAX, Limits, check
from gateway.reconciliation import store as arrival_store
from gateway.reconciliation.store import Awaited
from gateway.settlement import store as settlement_store
from gateway.settlement.store import BatchRow, PositionRow


class Gate(Struct, frozen=True):
    """What one batch is compared with, in kopecks."""

    owed: int
    before: list[int]
    limits: Limits
    # What comes stays, and a batch gets no other payments: it may be looked at before the lock.
    awaited: Sequence[Awaited] = ()
    # Nor does it change where the money of a closed batch came from.
    out_of_backup: bool = False

    def check(self, row: BatchRow, positions: Sequence[PositionRow], *, named: bool) -> None:
        """Raises InvariantBroken or Refusal state_conflict, as payouts.plausibility does, and
        Refusal state_conflict while money of the batch is awaited, which no override lifts.
        """
        if self.awaited:
            told = "; ".join(map(_told, self.awaited))
            raise Refusal("state_conflict", f"Expected all money of the batch to be there; {told}")
        orders = sum(position.payable for position in positions)
        restored = row.restored_at is not None or self.out_of_backup
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
        out_of_backup = await settlement_store.out_of_backup(conn, row.number)
        held = settings.hold_payouts_until_arrived == "yes"
        awaited = await arrival_store.awaited(conn, row.number) if held else []
    most = settings.batch_payout_max_roubles * 100
    limits = Limits(most, settings.payout_jump_times, settings.payout_jump_from_roubles * 100)
    return Gate(owed, before, limits, awaited, out_of_backup)


def _told(one: Awaited) -> str:
    without = "" if one.comes is not None else ", who has no arrival terms"
    return (
        f"{one.payments} payments of {one.acquirer}{without}, {one.total} kopecks,"
        f" the first {shown(PAYMENT, one.first)}"
    )
