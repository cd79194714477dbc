"""Obligations between recipients: loaded, shown, and withdrawn by two people.

A debt counts for batches that are cut after it was loaded. What was transferred stays so: a refund
that comes later makes the debtor's own position less.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from gateway.domain.ids import (
    OBLIGATION,
    SETTLEMENT_BATCH,
    TRANSFER,
    WITHDRAWAL,
    new_id,
    shown,
)
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.journal.rows import Cut
from gateway.obligations import store
from gateway.obligations.store import Asked, NewObligation, ObligationRow, PaidRow, WithdrawalRow
from gateway.parties import store as party_store
from gateway.settlement import store as settlement_store
from gateway.steps import timed

# Of one obligation, the newest: a debt that is paid every day for years has more than one answer
# should hold, and each batch tells its own.
LISTED_MAX: Final = 400


@timed("obligations", "load")
async def load(
    context: Context, claim: Claim, caller: Caller, told: Sequence[NewObligation]
) -> Answer:
    """Load debts, all of them or none: `{"obligations": […]}` in the order told.

    Refuses `recipient_unknown`, and `state_conflict` for a document that is there already.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        named = {name for one in told for name in (one.debtor, one.creditor)}
        recipients = await party_store.numbers(conn, named)
        for at, one in enumerate(told):
            if not {one.debtor, one.creditor} <= recipients.keys():
                raise Refusal(
                    "recipient_unknown",
                    f"Expected recipients that are registered in obligation {at}",
                )
        ids = [new_id() for _ in told]
        now = context.clock.now()
        batch = cut.settlement_batch
        added = await store.add(conn, told, recipients, ids, batch, now, caller.number)
        numbers = [number for number in added if number is not None]
        if len(numbers) < len(added):
            raise Refusal(
                "state_conflict",
                "Expected a document that is not loaded yet between its two recipients, was loaded"
                f" before: obligation {added.index(None)}",
            )
        rows = await store.find_several(conn, numbers)
        return {"obligations": [_shown(row) for row in rows]}

    return await once(context, claim, new_id(), act)


async def show(context: Context, obligation: UUID, own: str | None) -> dict[str, object]:
    """An obligation with its latest transfers and withdrawals.

    `own` is the recipient who asks, None for who may see all. Refuses `not_found`.
    """
    async with context.connection() as conn:
        row = await store.find(conn, obligation)
        if row is None or own not in (None, row.debtor, row.creditor):
            raise Refusal("not_found", "Expected the id of an obligation of yours")
        paid = await store.paid(conn, obligation, LISTED_MAX)
        withdrawals = await store.withdrawals(conn, obligation, LISTED_MAX)
    return {
        **_shown(row),
        "transfers": [_paid(one) for one in paid],
        # Who of the centre did what is the centre's own business.
        "withdrawals": [_withdrawal(one, own is None) for one in withdrawals],
    }


async def list_all(
    context: Context, after: int, recipient: str | None, is_open: bool | None, limit: int
) -> dict[str, object]:
    """Obligations after a number, of everybody or of one side: `{"obligations", "last_number"}`.

    `is_open` asks for those of which anything remains, or for the others.
    Refuses `not_found` for a recipient that is not registered.
    """
    async with context.connection() as conn:
        number = None
        if recipient is not None:
            number = (await party_store.numbers(conn, [recipient])).get(recipient)
            if number is None:
                raise Refusal("not_found", "Expected a recipient that is registered")
        rows = await store.page(conn, after, number, is_open, limit)
    return {
        "obligations": [_shown(row) for row in rows],
        "last_number": rows[-1].number if rows else after,
    }


@timed("obligations", "withdraw")
async def ask_withdrawal(
    context: Context,
    claim: Claim,
    caller: Caller,
    obligation: UUID,
    amount: int | None,
    reason: str,
) -> Answer:
    """Ask that a debt, or some kopecks of it, be withdrawn; nothing changes before the approval.

    Without an amount it is all that remains when it is approved. Refuses `not_found`, and
    `state_conflict` where less remains.
    """
    withdrawal = new_id()

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        number, _ = await _remaining(conn, obligation, amount)
        now = context.clock.now()
        await store.ask(conn, withdrawal, number, amount, reason, now, caller.number)
        return await _withdrawn(conn, obligation, withdrawal)

    # A batch that is being counted has the debt; whoever asks may wait for that, payers may not.
    return await once(context, claim, withdrawal, act, stamps=False)


@timed("obligations", "approve")
async def approve_withdrawal(
    context: Context, claim: Claim, caller: Caller, withdrawal: UUID
) -> Answer:
    """Take what was asked off the debt, for batches that are cut from now on.

    Refuses `not_found`, `forbidden` for whoever asked, and `state_conflict` where it was approved
    before, where less remains, or while a batch is counted.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        one = await store.asked(conn, withdrawal)
        if one is None:
            raise Refusal("not_found", "Expected the id of a withdrawal")
        if one.asked_by_name == caller.name:
            raise Refusal("forbidden", "Expected another person than the one who asked")
        await _reduce(context, conn, cut, caller, one)
        return await _withdrawn(conn, one.obligation_id, withdrawal)

    return await once(context, claim, new_id(), act)


async def _reduce(context: Context, conn: Any, cut: Cut, caller: Caller, one: Asked) -> None:
    # Nobody cuts a batch while this transaction is open; one that was cut before and is not counted
    # yet still pays on the whole debt.
    if await settlement_store.uncounted(conn):
        raise Refusal("state_conflict", "Expected no batch that is being counted; close it again")
    _, remaining = await _remaining(conn, one.obligation_id, one.amount)
    # Looked at under the lock of the debt: of two approvals at once one comes after the other.
    again = await store.asked(conn, one.id)
    if again is None or again.approved:
        raise Refusal("state_conflict", "Expected a withdrawal that is not approved yet")
    amount = remaining if one.amount is None else one.amount
    now = context.clock.now()
    await store.reduce(conn, one, amount, cut.settlement_batch, now, caller.number)


async def _remaining(conn: Any, obligation: UUID, amount: int | None) -> tuple[int, int]:
    """(number, what remains) of an obligation, held, of which so much can be withdrawn."""
    found = await store.lock(conn, obligation)
    if found is None:
        raise Refusal("not_found", "Expected the id of an obligation")
    if found[1] < (amount or 1):
        raise Refusal("state_conflict", "Expected an obligation of which that much remains")
    return found


async def _withdrawn(conn: Any, obligation: UUID, withdrawal: UUID) -> dict[str, object]:
    row = await store.find(conn, obligation)
    if row is None:
        raise Refusal("not_found", "Expected the id of an obligation")
    one = next(
        found
        for found in await store.withdrawals(conn, obligation, LISTED_MAX)
        if found.id == withdrawal
    )
    return {**_withdrawal(one, named=True), "obligation": _shown(row)}


def _shown(row: ObligationRow) -> dict[str, object]:
    return {
        "id": shown(OBLIGATION, row.id),
        "number": row.number,
        "debtor": row.debtor,
        "creditor": row.creditor,
        "services": row.services,
        "amount": row.amount,
        "document_number": row.document_number,
        "document_date": row.document_date.isoformat(),
        "state": row.state,
        "transferred": row.transferred,
        "withdrawn": row.withdrawn,
        "remaining": row.remaining,
        "loaded_at": row.loaded_at.isoformat(),
    }


def _paid(row: PaidRow) -> dict[str, object]:
    return {
        "id": shown(TRANSFER, row.id),
        "settlement_batch": shown(SETTLEMENT_BATCH, row.settlement_batch),
        "business_date": row.business_date.isoformat(),
        "service": row.service,
        "amount": row.amount,
    }


def _withdrawal(row: WithdrawalRow, named: bool) -> dict[str, object]:
    told: dict[str, object] = {
        "id": shown(WITHDRAWAL, row.id),
        "state": "asked" if row.approved_at is None else "approved",
        "amount": row.asked if row.amount is None else row.amount,
        "reason": row.reason,
        "asked_at": row.asked_at.isoformat(),
        "approved_at": None if row.approved_at is None else row.approved_at.isoformat(),
    }
    return {**told, "asked_by": row.asked_by, "approved_by": row.approved_by} if named else told
