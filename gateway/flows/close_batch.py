"""Closing a settlement batch and approving it.

The cut itself is an instant, however many payments there are: payments before it are in the batch,
later ones in the next. Counting comes after, while payers go on paying; if it is interrupted, the
next close or the same request sent again finishes it.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import orjson

from gateway.calendar import store as calendar_store
from gateway.domain.business_days import Due
from gateway.domain.ids import (
    OBLIGATION,
    PAYOUT,
    SETTLEMENT_BATCH,
    TRANSFER,
    new_id,
    shown,
)
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.domain.states import SETTLEMENT_BATCH as STATES
from gateway.domain.states import next_state
from gateway.flows import (
    after_restore,
    agreed_days,
    batch_days,
    cover_obligations,
    notice_restore,
    tell_recipients,
)
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.flows.patience import patiently
from gateway.flows.payees import Payees
from gateway.flows.payees import read as read_payees
from gateway.flows.payout_files import number_orders, plan_payouts, store_payouts
from gateway.flows.payout_gate import Gate, look
from gateway.flows.seal_batches import seal_all
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import counting, cutting
from gateway.journal.idempotency import StoredClaim, check_same
from gateway.journal.rows import Cut
from gateway.obligations import store as obligation_store
from gateway.obligations.store import TransferRow
from gateway.payouts import store as payout_store
from gateway.payouts.store import PayoutRow
from gateway.seals import store as seal_store
from gateway.seals.store import Seal
from gateway.settlement import store as settlement_store
from gateway.settlement import store_approvals, store_counting
from gateway.settlement.store import BatchEvent, BatchRow, PositionRow
from gateway.settlement.witness import APPROVED
from gateway.steps import timed


class ClosedSince(Exception):
    """Somebody has closed since the cut-off: there is nothing left to close for it."""


@timed("settlement", "close")
async def close(
    context: Context,
    claim: Claim,
    caller: Caller,
    business_date: date | None,
    due: Due | None = None,
) -> Answer:
    """Close what is open up to now: `{"id", "state", "payments", "positions": […]}`.

    `due` is the cut-off it is closed for; ClosedSince where another close came after that.
    """
    batch = new_id()

    async def cut() -> StoredClaim | None:
        async with (
            context.connection() as conn,
            cutting(conn),
        ):
            _, before = await journal_store.claim(conn, [(claim, None, batch)])
            first = before.get((claim.caller, claim.key))
            if first is None:
                now = context.clock.now()
                if due is not None and await calendar_store.closed_since(conn, due.moment, now):
                    raise ClosedSince
                number = await settlement_store.cut(conn)
                days = await batch_days.begin(context, conn, number, now, business_date, due)
                state = next_state(STATES, "open", "cut")
                await settlement_store.add(
                    conn, number, batch, state, days.last, now, caller.number
                )
                await calendar_store.add(conn, number, days)
                await store_approvals.add_terms(conn, number)
            return first

    first = await patiently(context, cut)
    if first is None:
        return Answer(await _counted(context, claim, batch), replayed=False)
    check_same(claim, first)
    if first.answer is not None:
        return Answer(first.answer, replayed=True)
    if first.resource is None:
        raise InvariantBroken("Expected a settlement batch behind the key")
    return Answer(await _counted(context, claim, first.resource), replayed=first.resource != batch)


@timed("settlement", "count")
async def _counted(context: Context, claim: Claim, batch: UUID) -> bytes:
    async def attempt() -> bytes:
        async with (
            context.connection() as conn,
            counting(conn),
        ):
            # The same request may have been sent twice: the answer given first is the one.
            before = await journal_store.find_claims(conn, [(claim.caller, claim.key)])
            first = before[claim.caller, claim.key].answer
            if first is not None:
                return first
            for number in await settlement_store.uncounted(conn):
                state = next_state(STATES, "cut", "count")
                netting = await store_counting.net(conn, number)
                await cover_obligations.cover(conn, number, netting)
                days = await agreed_days.of_batch(context, conn, number)
                await store_counting.count(conn, number, state, netting, days)
                await number_orders(conn, number)
                await batch_days.count(context, conn, number)
                await _tell(context, conn, number)
            content = orjson.dumps(await batch_shown(conn, batch))
            await journal_store.answer(conn, claim, content)
            return content

    return await patiently(context, attempt)


async def _tell(context: Context, conn: Any, number: int) -> None:
    row = await settlement_store.find_numbered(conn, number)
    positions = await settlement_store.positions(conn, number)
    now = context.clock.now()
    await tell_recipients.of_positions(conn, now, "position.closed", row, positions)


@timed("settlement", "approve")
async def approve(
    context: Context, claim: Claim, caller: Caller, batch: UUID, override: str | None = None
) -> Answer:
    """Approve a closed batch and prepare its payouts: `{"id", "state": "approved", …}`.

    `override` is why a batch that the machine finds unlikely is right. Refuses `not_found`,
    `state_conflict`, `ledger_mismatch`, and `forbidden` for whoever closed it, loaded an obligation
    it pays on, or changed requisites or fees of it that nobody else has looked at.
    """
    await notice_restore.notice(context)
    # No money leaves before what it is for is sealed.
    await seal_all(context)
    # What was closed does not change: it is added up before anybody has to wait for it.
    gate = await patiently(context, lambda: look(context, batch))

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        return await _approve(context, conn, caller, batch, gate, override)

    answer = await once(context, claim, new_id(), act, stamps=False)
    await notice_restore.remember(context, batch, APPROVED)
    return answer


async def _approve(
    context: Context,
    conn: Any,
    caller: Caller,
    batch: UUID,
    gate: Gate | None,
    override: str | None,
) -> dict[str, object]:
    row = await settlement_store.lock(conn, batch)
    if row is None:
        raise Refusal("not_found", "Expected the id of a settlement batch")
    if row.closed_by == caller.name:
        raise Refusal("forbidden", "Expected another person than the one who closed the batch")
    if caller.name in await obligation_store.loaders(conn, row.number):
        raise Refusal("forbidden", "Expected another person than who loaded what the batch pays on")
    state = next_state(STATES, row.state, "approve")
    if gate is None:
        raise Refusal("state_conflict", "Expected a batch that stays closed; approve it again")
    await after_restore.check(conn, row.number)
    now = context.clock.now()
    positions = await settlement_store.positions(conn, row.number)
    payees = await read_payees(conn, positions, now)
    await _check_changes(conn, caller, row, payees)
    planned = await plan_payouts(context, conn, row, positions, payees, now)
    gate.check(row, positions, planned, named=override is not None)
    await settlement_store.approve(conn, row, state, now, caller.number)
    await settlement_store.add_event(
        conn, row.number, "approve", state, now, caller.number, override
    )
    await store_approvals.add(conn, row.number, payees.used, caller.number)
    await store_payouts(context, conn, row, payees.payer, planned, now)
    payouts = await payout_store.of_batch(conn, row.number)
    await gate.keep(conn, row, positions, payouts, now)
    await tell_recipients.of_batch(conn, now, "approve", row, payouts)
    return await batch_shown(conn, batch)


async def _check_changes(conn: Any, caller: Caller, row: BatchRow, payees: Payees) -> None:
    await store_approvals.add_unseen(conn)
    for change in await store_approvals.changes(conn, row.number, payees.used):
        if change.set_by == caller.name:
            raise Refusal(
                "forbidden",
                f"Expected another person than who changed the {change.what} of {change.of}",
            )


async def show(context: Context, batch: UUID) -> dict[str, object]:
    """A batch with its positions; refuses `not_found`."""
    async with context.connection() as conn:
        return await batch_shown(conn, batch)


async def latest(context: Context, count: int) -> list[dict[str, object]]:
    """The latest batches in a line each, the newest first; money in kopecks."""
    async with context.connection() as conn:
        rows = await settlement_store.latest(conn, count)
    return [
        {
            "id": shown(SETTLEMENT_BATCH, row.id),
            "state": row.state,
            "business_date": row.business_date.isoformat(),
            "payments": row.payments,
            "payable": row.payable,
        }
        for row in rows
    ]


async def batch_shown(conn: Any, batch: UUID) -> dict[str, object]:
    """A batch as it is shown now; refuses `not_found`."""
    row = await settlement_store.find(conn, batch)
    if row is None:
        raise Refusal("not_found", "Expected the id of a settlement batch")
    positions = await settlement_store.positions(conn, row.number)
    transfers = await obligation_store.transfers(conn, row.number)
    payouts = await payout_store.of_batch(conn, row.number)
    events = await settlement_store.events(conn, row.number)
    seals = await seal_store.of_batch(conn, batch)
    return {
        **_shown(row, positions),
        **await batch_days.shown(conn, row.number),
        "recipient_days": await agreed_days.shown(conn, row.number),
        "transfers": [_transfer(transfer) for transfer in transfers],
        "paid_before": await after_restore.booked_shown(conn, row.number),
        "payouts": [_payout(payout) for payout in payouts],
        "events": [_event(event) for event in events],
        "seals": [_seal(seal) for seal in seals],
    }


def _shown(row: BatchRow, positions: Sequence[PositionRow]) -> dict[str, object]:
    return {
        "id": shown(SETTLEMENT_BATCH, row.id),
        "state": row.state,
        "business_date": row.business_date.isoformat(),
        "closed_at": row.closed_at.isoformat(),
        "closed_by": row.closed_by,
        "approved_at": None if row.approved_at is None else row.approved_at.isoformat(),
        "approved_by": row.approved_by,
        "payments": row.payments,
        "refunds": row.refunds,
        "positions": [_position(position) for position in positions],
    }


def _position(row: PositionRow) -> dict[str, object]:
    shown_names = (name for name in row.__struct_fields__ if name != "order_number")
    return {name: getattr(row, name) for name in shown_names}


def _transfer(row: TransferRow) -> dict[str, object]:
    return {
        "id": shown(TRANSFER, row.id),
        "obligation": shown(OBLIGATION, row.obligation),
        "debtor": row.debtor,
        "creditor": row.creditor,
        "service": row.service,
        "amount": row.amount,
        "document_number": row.document_number,
        "document_date": row.document_date.isoformat(),
    }


def _payout(row: PayoutRow) -> dict[str, object]:
    return {
        "id": shown(PAYOUT, row.id),
        "recipient": row.recipient,
        "amount": row.amount,
        "state": row.state,
        "order_number": row.order_number,
        "order_date": row.order_date.isoformat(),
    }


def _event(event: BatchEvent) -> dict[str, object]:
    return {
        "event": event.event,
        "state": event.state,
        "at": event.at.isoformat(),
        "by": event.by,
        "reason": event.reason,
    }


def _seal(seal: Seal) -> dict[str, object]:
    return {
        "number": seal.number,
        "stage": seal.stage,
        "leaves": seal.leaves,
        "root": seal.root.hex(),
        "chain": seal.chain.hex(),
        "made_at": seal.made_at.isoformat(),
    }
