"""What recipients are told of their money, written in the transaction that moves it.

Nothing of it is sent here: an event that is committed is published and delivered afterwards.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from gateway.domain.ids import PAYOUT, SETTLEMENT_BATCH, new_id, shown
from gateway.payouts.matching import Known
from gateway.payouts.store import PayoutRow
from gateway.settlement.store import BatchRow, PositionRow
from gateway.webhooks import store as webhook_store
from gateway.webhooks.rows import NewEvent

_OF_PAYOUTS = {
    "approve": "payout.approved",
    "send": "payout.sent",
    "execute": "payout.executed",
    "return": "payout.returned",
    "cancel": "payout.cancelled",
}


async def of_positions(
    conn: Any, at: datetime, event: str, batch: BatchRow, positions: Sequence[PositionRow]
) -> None:
    """Tell each recipient of its position in a batch that was closed, or cancelled unapproved."""
    named = shown(SETTLEMENT_BATCH, batch.id)
    told = [
        NewEvent(
            one.recipient,
            event,
            {
                "settlement_batch": named,
                "business_date": batch.business_date.isoformat(),
                **_sums(one),
                "report": f"/v1/settlement-batches/{named}/reports/{one.recipient}",
            },
        )
        for one in positions
    ]
    await _add(conn, at, told)


async def of_batch(
    conn: Any, at: datetime, event: str, batch: BatchRow, payouts: Sequence[PayoutRow]
) -> None:
    """Tell each recipient that its payout was approved, sent or cancelled."""
    named = shown(SETTLEMENT_BATCH, batch.id)
    told = [
        NewEvent(one.recipient, _OF_PAYOUTS[event], _payout(named, one, None)) for one in payouts
    ]
    await _add(conn, at, told)


async def of_statement(
    conn: Any, at: datetime, event: str, payouts: Iterable[tuple[Known, date]]
) -> None:
    """Tell each recipient that its payout was executed or came back, on a day."""
    told = [
        NewEvent(
            one.recipient_id,
            _OF_PAYOUTS[event],
            _payout(shown(SETTLEMENT_BATCH, one.batch_id), one, booked_on),
        )
        for one, booked_on in payouts
    ]
    await _add(conn, at, told)


async def _add(conn: Any, at: datetime, told: Sequence[NewEvent]) -> None:
    if told:
        await webhook_store.add_events(conn, at, [new_id() for _ in told], told)


def _sums(position: PositionRow) -> dict[str, object]:
    apart = ("recipient", "order_number")
    names = (name for name in position.__struct_fields__ if name not in apart)
    return {name: getattr(position, name) for name in names}


def _payout(batch: str, one: PayoutRow | Known, booked_on: date | None) -> dict[str, object]:
    told: dict[str, object] = {
        "payout": shown(PAYOUT, one.id),
        "settlement_batch": batch,
        "amount": one.amount,
        "order_number": one.order_number,
        "order_date": one.order_date.isoformat(),
    }
    return told if booked_on is None else {**told, "booked_on": booked_on.isoformat()}
