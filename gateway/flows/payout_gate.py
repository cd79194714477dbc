"""Before an approval: what the ledger owes to each recipient, by the journal's rows, and what was
paid before.

Nothing of it changes once a batch is closed, so it is read without any lock: a day of a million
payments takes seconds to add up, and no payer may wait for that. What is carried over is what the
batch judged last left, and every row since; never what the positions that are judged say of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.config import Settings
from gateway.domain.ids import PAYMENT, shown
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.flows.payout_files import Payouts
from gateway.journal.db_transaction import reading
from gateway.payouts import store as payout_store
from gateway.payouts.plausibility import (
    HISTORY_MAX,
    Asked,
    Habit,
    Limits,
    Stands,
    check,
    hold,
    hold_orders,
)
from gateway.payouts.store import PayoutRow
from gateway.reconciliation import store as arrival_store
from gateway.reconciliation.store import Awaited
from gateway.settlement import store as settlement_store
from gateway.settlement import store_counting, store_judging
from gateway.settlement.store import BatchRow, PositionRow


class Gate(Struct, frozen=True):
    """What one batch is compared with, in kopecks; recipients by id."""

    owed: Mapping[str, int]
    # By how much that is more than the double entry says; nothing but 0 is right.
    beyond_ledger: int
    may_wait: frozenset[str]
    before: list[int]
    habits: Mapping[str, Habit]
    limits: Limits
    # What comes stays, and a batch gets no other payments: it may be looked at before the lock.
    awaited: Sequence[Awaited] = ()
    # Nor does it change where the money of a closed batch came from.
    out_of_backup: bool = False

    def check(
        self, row: BatchRow, positions: Sequence[PositionRow], payouts: Payouts, *, named: bool
    ) -> None:
        """Refuses ledger_mismatch and state_conflict, as payouts.plausibility does, and
        state_conflict while money of the batch is awaited, which no override lifts.
        """
        if self.awaited:
            told = "; ".join(map(_told, self.awaited))
            raise Refusal("state_conflict", f"Expected all money of the batch to be there; {told}")
        stands = self._stands(positions)
        hold(self.owed, self.beyond_ledger, stands)
        hold_orders(stands, [(one.recipient, one.order.amount_kopecks) for one in payouts])
        asked = {
            one.recipient: Asked(
                one.order.amount_kopecks,
                f"{one.order.recipient.bic} {one.order.recipient.account}",
            )
            for one in payouts
        }
        restored = row.restored_at is not None or self.out_of_backup
        check(asked, self.before, self.habits, self.limits, restored=restored, named=named)

    async def keep(
        self,
        conn: Any,
        row: BatchRow,
        positions: Sequence[PositionRow],
        stored: Sequence[PayoutRow],
        at: datetime,
    ) -> None:
        """Keep what the batch leaves to the next, once its payouts stand as they were judged;
        refuses ledger_mismatch.
        """
        stands = self._stands(positions)
        hold_orders(stands, [(one.recipient, one.amount) for one in stored])
        left = {one: due - stands[one].payable for one, due in self.owed.items() if one in stands}
        await store_judging.add_judged(conn, row.number, left, at)

    def _stands(self, positions: Sequence[PositionRow]) -> dict[str, Stands]:
        return {
            one.recipient: Stands(one.payable, one.carried_out, one.recipient in self.may_wait)
            for one in positions
        }


async def look(context: Context, batch: UUID) -> Gate | None:
    """What a closed batch is compared with; None for one that is not there or not closed."""
    settings = context.settings
    async with context.connection() as conn, reading(conn):
        row = await settlement_store.find(conn, batch)
        if row is None or row.state != "closed":
            return None
        limits = _limits(settings)
        positions = await settlement_store.positions(conn, row.number)
        paid = {one.recipient: one.payable for one in positions}
        least = min(limits.first_from, limits.changed_from, limits.order_jump_from)
        habits = await payout_store.habits(conn, row.number, HISTORY_MAX, paid, least)
        before = await settlement_store.paid_before(conn, row.number, HISTORY_MAX)
        out_of_backup = await settlement_store.out_of_backup(conn, row.number)
        held = settings.hold_payouts_until_arrived == "yes"
        awaited = await arrival_store.awaited(conn, row.number) if held else []
        ids = await store_judging.ids(conn)
        may_wait = await store_judging.may_wait(conn, row.number)
        in_the_ledger = await store_judging.in_the_ledger(conn, row.number)
        # Last, for it changes how the database plans what follows.
        owed, brought = await _owed(conn, row.number)
    return Gate(
        {ids[one]: kopecks for one, kopecks in owed.items()},
        brought - in_the_ledger,
        frozenset(ids[one] for one in may_wait),
        before,
        habits,
        limits,
        awaited,
        out_of_backup,
    )


async def _owed(conn: Any, number: int) -> tuple[dict[int, int], int]:
    """What a batch owes to each recipient, and what its own rows brought to all together."""
    last, balances = await store_judging.last_judged(conn, number)
    owed = Counter(balances)
    brought = 0
    for one in range(last + 1, number + 1):
        moved = await store_judging.moved(conn, one, await store_counting.add_up(conn, one))
        owed.update(moved)
        brought = sum(moved.values())
        if one != number:
            owed.subtract(await store_judging.taken(conn, one))
    return dict(owed), brought


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.batch_payout_max_roubles * 100,
        settings.payout_jump_times,
        settings.payout_jump_after,
        settings.payout_jump_from_roubles * 100,
        settings.payout_order_jump_from_roubles * 100,
        settings.payout_first_from_roubles * 100,
        settings.payout_changed_from_roubles * 100,
    )


def _told(one: Awaited) -> str:
    without = "" if one.comes is not None else ", who has no arrival terms"
    return (
        f"{one.payments} payments of {one.acquirer}{without}, {one.total} kopecks,"
        f" the first {shown(PAYMENT, one.first)}"
    )
