"""Chargebacks: the payer's bank took the money back from us, so its recipients give it back.

Nobody pays the payer: the acquirer keeps the sum. A chargeback that is won is a new entry, which
gives each recipient exactly what was taken from it.
"""

from typing import Any
from uuid import UUID

from gateway.acquirers import store as acquirer_store
from gateway.corrections import store
from gateway.corrections.store import Chargeback
from gateway.domain.ids import CHARGEBACK, PAYMENT, REVERSAL, new_id, shown
from gateway.domain.lots import Lot, Move, added, taken
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.flows.correct_payment import shown_move
from gateway.flows.move_money import Moving, lots_of
from gateway.flows.refund_payment import locked_payment
from gateway.journal.rows import Cut, PaymentRow
from gateway.steps import timed
from splitcore import refund as refund_split
from splitcore import unpack


@timed("corrections", "charge_back")
async def charge_back(
    context: Context,
    claim: Claim,
    caller: Caller,
    payment: UUID,
    amount: int | None,
    case_id: str,
    reason_code: str,
) -> Answer:
    """Book that `amount` kopecks (None: all that is left) were taken back from us.

    `{"id", "payment", "amount", "case", "reason_code", "moves"}`. Refuses `not_found`,
    `refund_exceeds_payment`, and `state_conflict` where the case is booked already, nothing is
    left, or a refund of the payment is on its way to its acquirer.
    """
    chargeback = new_id()

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        row = await locked_payment(conn, caller, payment)
        kopecks = row.left if amount is None else amount
        if await acquirer_store.reserved(conn, payment):
            raise Refusal("state_conflict", "Expected the refund before it to be settled")
        if kopecks > row.left or not row.left:
            raise Refusal("refund_exceeds_payment", "Expected no more than is left of the payment")
        at = context.clock.now()
        suspended = row.shares is None
        booked = await store.add_chargeback(
            conn,
            *(chargeback, payment, at, caller.number, cut.settlement_batch, row.placed_on),
            *(kopecks, suspended, row.caller, case_id, reason_code),
        )
        if not booked:
            raise Refusal("state_conflict", "Expected a case that is not booked yet")
        moves: list[Move] = []
        if not suspended:
            moving = Moving(context, conn, cut, "chargeback", chargeback, row, caller.number, at)
            moves = await _take(moving, conn, row, kopecks)
        return {
            "id": shown(CHARGEBACK, chargeback),
            "payment": shown(PAYMENT, payment),
            "amount": kopecks,
            "case": case_id,
            "reason_code": reason_code,
            "moves": [shown_move(context, move) for move in moves],
        }

    return await once(context, claim, chargeback, act)


async def _take(moving: Moving, conn: Any, row: PaymentRow, amount: int) -> list[Move]:
    lots = await lots_of(conn, row, await store.moves_of(conn, row.id))
    found = taken(list(lots.values()), amount)
    await moving.lock({lot.account for lot, _ in found}, {lot.plan for lot, _ in found})
    moving.take(found)
    await moving.save()
    return moving.moves


async def reverse(
    context: Context,
    claim: Claim,
    caller: Caller,
    payment: UUID,
    chargeback: UUID,
    amount: int | None,
    document: str,
) -> Answer:
    """Book that a chargeback was won: `amount` kopecks (None: all of it) are with us again.

    Refuses `not_found`, and `state_conflict` where more would come back than was taken.
    """
    reversal = new_id()

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        row = await locked_payment(conn, caller, payment)
        before = await store.chargeback(conn, payment, chargeback)
        if before is None:
            raise Refusal("not_found", "Expected the id of a chargeback of this payment")
        left = before.amount - before.reversed
        kopecks = left if amount is None else amount
        if not 1 <= kopecks <= left:
            raise Refusal("state_conflict", "Expected no more than the chargeback still holds")
        at = context.clock.now()
        suspended = before.suspended and row.shares is None
        await store.add_reversal(
            conn,
            *(reversal, chargeback, payment, at, caller.number, cut.settlement_batch),
            *(row.placed_on, kopecks, suspended, document),
        )
        moves: list[Move] = []
        if not suspended:
            moving = Moving(context, conn, cut, "reversal", reversal, row, caller.number, at)
            moves = await _give_back(moving, conn, row, before, kopecks)
        return {
            "id": shown(REVERSAL, reversal),
            "payment": shown(PAYMENT, payment),
            "chargeback": shown(CHARGEBACK, chargeback),
            "amount": kopecks,
            "document": document,
            "moves": [shown_move(context, move) for move in moves],
        }

    return await once(context, claim, reversal, act)


async def _give_back(
    moving: Moving, conn: Any, row: PaymentRow, before: Chargeback, amount: int
) -> list[Move]:
    moves = await store.moves_of(conn, row.id)
    if before.suspended:
        # It was nobody's when it was taken, and has found its account since.
        await moving.lock({row.placed_on}, ())
        moving.give(row.placed_on, amount, ())
    else:
        lots = await lots_of(conn, row, moves)
        held = _held(lots, moves, before)
        await moving.lock({lot.account for lot, _, _ in held}, {lot.plan for lot, _, _ in held})
        strung = [kopecks for _, parts, _ in held for kopecks in parts]
        returned = [kopecks for _, _, parts in held for kopecks in parts]
        shared = refund_split(strung, returned, amount)
        for lot, parts, _ in held:
            mine, shared = shared[: len(parts)], shared[len(parts) :]
            if any(mine):
                moving.put_back(lot, mine)
    await moving.save()
    return moving.moves


def _held(
    lots: dict[UUID, Lot], moves: list[Move], before: Chargeback
) -> list[tuple[Lot, list[int], list[int]]]:
    """What a chargeback took from each lot, and what of that came back."""
    found = []
    for move in moves:
        if move.entry == before.id:
            parts = unpack(move.shares)
            back = [0] * len(parts)
            for later in moves:
                if later.entry in before.reversals and later.lot == move.lot:
                    back = added(back, unpack(later.shares))
            found.append((lots[move.lot], parts, back))
    return found
