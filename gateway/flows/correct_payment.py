"""Corrections: money that was meant otherwise is taken from where it went, and given anew.

From account to account, from service to service, or from period to period. Nothing leaves us, so
both moves are in one commit, and in one settlement batch. What was split before stays as it was.
"""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.corrections import store
from gateway.domain.ids import CORRECTION, PAYMENT, new_id, shown
from gateway.domain.lots import Lot, Move, Taken, taken, taken_of_services
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.flows.move_money import MOVES_MAX, Designation, Moving, lots_of
from gateway.flows.refund_payment import locked_payment
from gateway.journal.rows import Cut
from gateway.steps import timed
from splitcore import unpack


class Asked(Struct, frozen=True, omit_defaults=True):
    """What is to be moved, and what it is meant for now.

    Taken are `amount` kopecks (None: all that is left), or `services` by name, of what is on
    `from_account` (None: wherever it is). They are given to `subscriber_account` (None: back to
    each account they are taken from), by `designation` and the open bill, or for another `period`.
    """

    amount: int | None = None
    services: Designation = ()
    from_account: str | None = None
    subscriber_account: str | None = None
    designation: Designation = ()
    period: str | None = None


@timed("corrections", "correct")
async def correct(
    context: Context,
    claim: Claim,
    caller: Caller,
    payment: UUID,
    asked: Asked,
    reason: str,
    document: str,
) -> Answer:
    """Move what a payment gave: `{"id", "payment", "amount", "moves": […]}`.

    Refuses `not_found`, `account_invalid` (no open bill there), `state_conflict` (in suspense,
    nothing there to take, nothing that would change), `refund_exceeds_payment` (more than is left),
    and with the split's codes.
    """
    correction = new_id()

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        row = await locked_payment(conn, caller, payment)
        moves = await store.moves_of(conn, payment)
        if row.shares is None:
            raise Refusal("state_conflict", "Expected a payment that is not in suspense")
        if len(moves) >= MOVES_MAX:
            raise Refusal("state_conflict", "Expected a payment that was moved less often")
        lots = list((await lots_of(conn, row, moves)).values())
        at = context.clock.now()
        moving = Moving(context, conn, cut, "correction", correction, row, caller.number, at)
        amount = await _move(moving, lots, asked)
        content = msgspec.json.encode(asked).decode()
        account = asked.subscriber_account or moving.moves[-1].account
        await store.add_correction(
            conn,
            *(correction, payment, at, caller.number, cut.settlement_batch, account, amount),
            *(content, reason, document),
        )
        await moving.save()
        return {
            "id": shown(CORRECTION, correction),
            "payment": shown(PAYMENT, payment),
            "amount": amount,
            "reason": reason,
            "document": document,
            "moves": [shown_move(context, move) for move in moving.moves],
        }

    return await once(context, claim, correction, act)


async def _move(moving: Moving, lots: list[Lot], asked: Asked) -> int:
    source = [lot for lot in lots if any(lot.left) and asked.from_account in (None, lot.account)]
    if not source:
        raise Refusal("state_conflict", "Expected an account that has something of the payment")
    accounts = {lot.account for lot in source}
    if asked.subscriber_account is not None:
        accounts.add(asked.subscriber_account)
    await moving.lock(accounts, {lot.plan for lot in source})
    found = _found(moving, source, asked)
    _check_changes(found, asked)
    amount = sum(sum(parts) for _, parts in found)
    moving.take(found, counts=asked.period is None)
    if asked.period is not None:
        moving.give_alike(asked.period)
        return amount
    for account, kopecks in _given_to(found, asked.subscriber_account).items():
        moving.give(account, kopecks, asked.designation)
    return amount


def _found(moving: Moving, source: list[Lot], asked: Asked) -> Taken:
    def services_of(lot: Lot) -> list[str]:
        return [service for _, service, _, _ in moving.plan(lot.plan).names.parts]

    if asked.services:
        return taken_of_services(source, services_of, dict(asked.services))
    left = sum(sum(lot.left) for lot in source)
    return taken(source, left if asked.amount is None else asked.amount)


def _check_changes(found: Taken, asked: Asked) -> None:
    """Refuses what would stay as it is, or cannot be said of several accounts at once."""
    if asked.period is not None:
        if any(lot.period == asked.period for lot, _ in found):
            raise Refusal("state_conflict", "Expected another period than the money is for")
        return
    accounts = {lot.account for lot, _ in found}
    if asked.designation:
        if asked.subscriber_account is None and len(accounts) > 1:
            raise Refusal("state_conflict", "Expected from_account where there are several")
        return
    if asked.subscriber_account in accounts:
        raise Refusal("state_conflict", "Expected another account than the money is on")


def _given_to(found: Taken, account: str | None) -> dict[str, int]:
    sums: dict[str, int] = {}
    for lot, parts in found:
        to = account or lot.account
        sums[to] = sums.get(to, 0) + sum(parts)
    return sums


def shown_move(context: Context, move: Move) -> dict[str, object]:
    """A move as it is told; kopecks below 0 are taken. Its plan is on the shelf."""
    names = context.plans.get(move.plan).names
    shares = names.shares(unpack(move.shares))
    withheld = unpack(move.commissions) if move.commissions else []
    return {
        "subscriber_account": move.account,
        "period": move.period,
        "amount": move.sign * move.amount,
        "shares": [
            {
                "service": share.service,
                "recipient": share.recipient,
                "amount": move.sign * share.amount,
            }
            for share in shares
        ],
        "commissions": [
            {"recipient": names.recipients[at], "amount": move.sign * kopecks}
            for at, kopecks in enumerate(withheld)
            if kopecks
        ],
    }
