"""Why a payment was split as it was: each share with what it can be computed again from.

The account's history is played again up to the payment's splits, and each is worked out by code
that is not the kernel's. A recipient is told of its own shares alone, with the sums that they are
shared by.
"""

import asyncio
from typing import Any, Final
from uuid import UUID

from gateway.agreements import store as agreement_store
from gateway.audit import store as audit_store
from gateway.audit import store_account
from gateway.audit.history import Found, History, plan_of
from gateway.audit.terms import Terms
from gateway.corrections import store as correction_store
from gateway.domain.ids import PAYMENT, shown
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.flows.explain_told import (
    Gathered,
    split_told,
    surcharge_told,
    taken_told,
    takings_of,
)
from gateway.flows.find_payments import may_see
from gateway.flows.move_money import lots_of
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import reading

# No household pays so often; a longer history is the audit's to play.
EVENTS_MAX: Final = 10_000
_EVENTS_A_TURN: Final = 100


async def explain_payment(context: Context, caller: Caller, payment: UUID) -> dict[str, object]:
    """Every split of a payment, and what was taken of it since, with the workings.

    Refuses `not_found` where the caller may not see it (a recipient: where none of it is its own),
    `state_conflict` where an account has more history than can be played while one waits. What was
    agreed with recipients is not told to acquirers.
    """
    gathered = await _gather(context, caller, payment)
    found = await _played(gathered)
    own, terms = caller.recipient, caller.role != "acquirer"
    splits = [
        told
        for lot in gathered.periods
        if (told := split_told(gathered, lot, found.get(lot), own, terms)) is not None
    ]
    taken = [
        told for one in takings_of(gathered) if (told := taken_told(gathered, one, own)) is not None
    ]
    if own is not None and not splits:
        raise Refusal("not_found", "Expected the id of a payment that you have a share of")
    row = gathered.row
    return {
        "payment": shown(PAYMENT, payment),
        "recipient": own,
        "amount": None if own else row.amount,
        "surcharge": None if own else surcharge_told(gathered, found.get(payment), terms),
        "total": None if own else row.amount + row.surcharge,
        "suspense": None if own else (row.left if row.shares is None else 0),
        "splits": splits,
        "taken": taken,
    }


async def _gather(context: Context, caller: Caller, payment: UUID) -> Gathered:
    async with context.connection() as conn, reading(conn):
        rows = await journal_store.find_payments(conn, [payment])
        if not rows or not may_see(caller, rows[0].caller):
            raise Refusal("not_found", "Expected the id of a payment")
        row = rows[0]
        moves = await correction_store.moves_of(conn, payment)
        refunds = await journal_store.refunds_of(conn, payment)
        entries = {one.id: one for one in await correction_store.entries_of(conn, payment)}
        asked = await correction_store.asked_of(conn, payment)
        lots = await lots_of(conn, row, ())
        for lot in lots.values():
            lot.taken = [0] * len(lot.shares)
        periods = {lot.id: lot.period for lot in lots.values()}
        periods |= {move.id: move.period for move in moves if move.lot == move.id}
        accounts = {row.placed_on} if row.shares is not None else set()
        accounts |= {move.account for move in moves if move.lot == move.id}
        histories: dict[str, tuple[list[Any], list[Any]]] = {}
        numbers: set[int] = set()
        for account in sorted(accounts):
            bills = await store_account.bills(conn, account)
            events = await store_account.events(conn, account, EVENTS_MAX + 1)
            if len(events) > EVENTS_MAX:
                raise Refusal("state_conflict", "Expected an account with a shorter history")
            histories[account] = (bills, events)
            numbers |= {one["plan"] for one in (*bills, *events)}
        plans = {
            found["number"]: plan_of(found)
            for found in await store_account.plans(conn, sorted(numbers))
        }
        agreements = {
            event["lot"]: await agreement_store.of_split(
                conn, event["plan"], event["terms_version"], event["at"]
            )
            for _, events in histories.values()
            for event in events
            if event["lot"] in periods and event["terms_version"] is not None
        }
        return Gathered(
            row,
            moves,
            refunds,
            entries,
            asked,
            lots,
            plans,
            histories,
            Terms(*await audit_store.terms(conn)),
            await audit_store.recipient_ids(conn),
            periods,
            agreements,
        )


async def _played(gathered: Gathered) -> dict[UUID, Found]:
    """What each split that was made by a bill was made from."""
    found: dict[UUID, Found] = {}
    for bills, events in gathered.histories.values():
        history = History(gathered.plans, gathered.terms, gathered.periods.keys())
        for at, _ in enumerate(history.play(bills, events, None), 1):
            if at % _EVENTS_A_TURN == 0:
                await asyncio.sleep(0)
        found |= history.found
    return found
