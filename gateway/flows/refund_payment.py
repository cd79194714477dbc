"""Refunds: the shares of a payment given back, by what is left of each (never split anew)."""

from typing import Any
from uuid import UUID

from gateway.bills import store as bill_store
from gateway.corrections import store as correction_store
from gateway.domain import paid as bill_paid
from gateway.domain.bill import OpenBill
from gateway.domain.ids import PAYMENT, REFUND, new_id, shown
from gateway.domain.lots import Move, taken
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.flows.find_payments import may_see
from gateway.flows.move_money import Moving, lots_of
from gateway.journal import store as journal_store
from gateway.journal.rows import Cut, NewRefund, PaymentRow
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import Plan
from gateway.steps import timed
from splitcore import AMOUNT_MAX, SplitError, pack, unpack
from splitcore import refund as refund_split


@timed("corrections", "refund")
async def refund(
    context: Context, claim: Claim, caller: Caller, payment: UUID, amount: int
) -> Answer:
    """Give back `amount` kopecks of a payment: `{"id", "payment", "amount", "shares"}`.

    Refuses `not_found`, `amount_out_of_range`, `refund_exceeds_payment`.
    """
    if not 1 <= amount <= AMOUNT_MAX:
        raise Refusal("amount_out_of_range", f"Expected amount in 1..{AMOUNT_MAX}")
    refund_id = new_id()

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        row = await locked_payment(conn, caller, payment)
        return await give_back(context, conn, cut, row, refund_id, caller.number, amount)

    return await once(context, claim, refund_id, act)


async def give_back(
    context: Context,
    conn: Any,
    cut: Cut,
    row: PaymentRow,
    refund_id: UUID,
    caller: int,
    amount: int,
) -> dict[str, object]:
    """Adds a refund of a locked payment, and reopens its bill by that; how it is shown.

    Refuses `refund_exceeds_payment`.
    """
    if amount > row.left:
        raise Refusal("refund_exceeds_payment", "Expected no more than is left of the payment")
    moves = await correction_store.moves_of(conn, row.id)
    if moves:
        return await _of_lots(context, conn, cut, row, moves, refund_id, caller, amount)
    parts: list[int] | None = None
    sequence: int | None = None
    if row.plan is not None:
        await splitting_store.fetch_plans(conn, context.plans, [row.plan])
        parts = await _parts_back(conn, row, amount)
        sequence = await _reopen(context, conn, row, context.plans.get(row.plan), parts)
    packed = None if parts is None else pack(parts)
    new = NewRefund(refund_id, caller, amount, packed, sequence)
    await journal_store.add_refund(conn, cut, new, row, context.clock.now())
    return shown_refund(context, row, refund_id, amount, parts)


async def _of_lots(
    context: Context,
    conn: Any,
    cut: Cut,
    row: PaymentRow,
    moves: list[Move],
    refund_id: UUID,
    caller: int,
    amount: int,
) -> dict[str, object]:
    """A refund of a payment that was moved: out of its lots to nobody, and from there back."""
    lots = list((await lots_of(conn, row, moves)).values())
    found = taken(lots, amount)
    at = context.clock.now()
    moving = Moving(context, conn, cut, "refund", refund_id, row, caller, at)
    await moving.lock({lot.account for lot, _ in found}, {lot.plan for lot, _ in found})
    moving.take(found)
    await journal_store.add_refund(
        conn, cut, NewRefund(refund_id, caller, amount, None, None), row, at
    )
    await moving.save()
    return _shown_moves(context, row, refund_id, amount, moving.moves)


def _shown_moves(
    context: Context, row: PaymentRow, refund_id: UUID, amount: int, moves: list[Move]
) -> dict[str, object]:
    told = shown_refund(context, row, refund_id, amount, None)
    told["shares"] = [
        {"service": share.service, "recipient": share.recipient, "amount": share.amount}
        for move in moves
        for share in context.plans.get(move.plan).names.shares(unpack(move.shares))
    ]
    return told


def shown_refund(
    context: Context, row: PaymentRow, refund_id: UUID, amount: int, parts: list[int] | None
) -> dict[str, object]:
    """A refund as it is told; the payment's plan is on the shelf."""
    shares: list[dict[str, object]] = []
    if row.plan is not None and parts is not None:
        names = context.plans.get(row.plan).names
        shares = [
            {"service": share.service, "recipient": share.recipient, "amount": share.amount}
            for share in names.shares(parts)
        ]
    return {
        "id": shown(REFUND, refund_id),
        "payment": shown(PAYMENT, row.id),
        "amount": amount,
        "shares": shares,
    }


async def find_refund(
    context: Context, conn: Any, row: PaymentRow, refund_id: UUID
) -> dict[str, object] | None:
    """A refund of a payment as it stands in the journal."""
    for found in await journal_store.refunds_of(conn, row.id):
        if found.id == refund_id:
            moves = [
                move
                for move in await correction_store.moves_of(conn, row.id)
                if move.entry == refund_id
            ]
            if moves:
                plans = [move.plan for move in moves]
                await splitting_store.fetch_plans(conn, context.plans, plans)
                return _shown_moves(context, row, refund_id, found.amount, moves)
            parts = None if found.shares is None else unpack(found.shares)
            if row.plan is not None:
                await splitting_store.fetch_plans(conn, context.plans, [row.plan])
            return shown_refund(context, row, refund_id, found.amount, parts)
    return None


async def locked_payment(conn: Any, caller: Caller, payment: UUID) -> PaymentRow:
    """The payment's row, nobody else refunding or placing it until the commit."""
    await journal_store.lock_payment(conn, payment)
    rows = await journal_store.find_payments(conn, [payment])
    if not rows or not may_see(caller, rows[0].caller):
        raise Refusal("not_found", "Expected the id of a payment")
    return rows[0]


async def _parts_back(conn: Any, row: PaymentRow, amount: int) -> list[int]:
    if row.shares is None:
        raise InvariantBroken("Expected shares on a payment that has a plan")
    shares = unpack(row.shares)
    refunded = [0] * len(shares)
    for earlier in await journal_store.refunds_of(conn, row.id):
        if earlier.shares is not None:
            refunded = [a + b for a, b in zip(refunded, unpack(earlier.shares), strict=True)]
    try:
        return refund_split(shares, refunded, amount)
    except SplitError as error:
        raise Refusal(error.code, error.detail) from error


async def _reopen(
    context: Context, conn: Any, row: PaymentRow, plan: Plan, parts: list[int]
) -> int:
    """Take the money off what is paid on the open bill; the account's next sequence."""
    account = row.placed_on
    bill = (await bill_store.lock(conn, [account])).get(account)
    if bill is None or row.sequence is None:
        raise InvariantBroken("Expected an open bill for an account with a split payment")
    paid = bill.paid
    if row.bill == bill.bill:
        paid = bill_paid.taken_back(paid, plan.charges(parts))
    elif row.sequence > bill.counts_from:
        paid = await _taken_back_by_service(context, conn, bill, plan, parts)
    await bill_store.save_paid(conn, [(account, paid, bill.sequence + 1)])
    return bill.sequence + 1


async def _taken_back_by_service(
    context: Context, conn: Any, bill: OpenBill, plan: Plan, parts: list[int]
) -> bytes:
    back: dict[str, int] = {}
    for service, kopecks in zip(plan.services, plan.charges(parts), strict=True):
        back[service] = back.get(service, 0) + kopecks
    await splitting_store.fetch_plans(conn, context.plans, [bill.plan])
    open_plan = context.plans.get(bill.plan)
    return bill_paid.taken_back_by_service(
        bill.paid, open_plan.services, open_plan.split.tiers, back
    )
