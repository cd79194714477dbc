"""What recipients owe us: after refunds and chargebacks of money that was paid out to them.

Each batch nets a debt by itself. One that nothing nets grows old here, until the debtor pays it in
or it is written off: asked for by one person, approved by another, a new entry of the open batch.
"""

from typing import Any
from uuid import UUID

from gateway.corrections import store
from gateway.domain.ids import DEBT, SETTLEMENT_BATCH, new_id, shown
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.journal.rows import Cut


async def show(context: Context, recipient: str | None) -> dict[str, object]:
    """Debts as the last counted batch left them, and requests that wait for an approval."""
    now = context.clock.now()
    async with context.connection() as conn:
        found = await store.receivables(conn, recipient)
        waiting = await store.waiting(conn, recipient)
    return {
        "receivables": [
            {
                "recipient": one.recipient,
                "kind": one.kind,
                "amount": one.amount,
                "since_batch": shown(SETTLEMENT_BATCH, one.since_batch),
                "since": one.since.isoformat(),
                "days": max((now - one.since).days, 0),
                "batches": one.batches,
                "largest": one.largest,
                "netted": one.netted,
                "paid_in": one.paid_in,
                "written_off": one.written_off,
            }
            for one in found
        ],
        "requests": [
            {
                "id": shown(DEBT, one.id),
                "recipient": one.recipient,
                "kind": one.kind,
                "amount": one.amount,
                "reason": one.reason,
                "document": one.document,
                "asked_at": one.asked_at.isoformat(),
                "asked_by": one.asked_by,
            }
            for one in waiting
        ],
    }


async def ask(
    context: Context,
    claim: Claim,
    caller: Caller,
    recipient: str,
    kind: str,
    amount: int,
    reason: str,
    document: str,
) -> Answer:
    """Ask that a debt be lessened by what was `paid_in`, or `written_off`.

    Refuses `not_found`, and `state_conflict` where the recipient owes less.
    """
    request = new_id()

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        number = await store.lock_recipient(conn, recipient)
        if number is None:
            raise Refusal("not_found", "Expected the id of a recipient")
        await _check_owed(conn, number, amount)
        at = context.clock.now()
        await store.ask_debt(
            conn, request, number, kind, amount, reason, document, at, caller.number
        )
        return {
            "id": shown(DEBT, request),
            "recipient": recipient,
            "kind": kind,
            "amount": amount,
            "state": "asked",
        }

    return await once(context, claim, request, act)


async def approve(context: Context, claim: Claim, caller: Caller, request: UUID) -> Answer:
    """Book what was asked, in the open batch.

    Refuses `not_found`, `forbidden` for whoever asked, and `state_conflict` where it was approved
    before or the recipient owes less by now.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        row = await store.debt_request(conn, request)
        if row is None:
            raise Refusal("not_found", "Expected the id of a request")
        if row.asked_by == caller.name:
            raise Refusal("forbidden", "Expected another person than the one who asked")
        await store.lock_recipient(conn, row.recipient_id)
        # Looked at again: another approval may have waited for the same lock.
        again = await store.debt_request(conn, request)
        if again is None or again.settled:
            raise Refusal("state_conflict", "Expected a request that was not approved yet")
        await _check_owed(conn, row.recipient, row.amount)
        at = context.clock.now()
        await store.settle_debt(
            conn,
            *(request, row.recipient, row.kind, row.amount, at, caller.number),
            cut.settlement_batch,
        )
        return {
            "id": shown(DEBT, request),
            "recipient": row.recipient_id,
            "kind": row.kind,
            "amount": row.amount,
            "state": "booked",
        }

    return await once(context, claim, new_id(), act)


async def _check_owed(conn: Any, recipient: int, amount: int) -> None:
    if await store.uncounted(conn):
        raise Refusal("state_conflict", "Expected batches that are counted; close once more")
    if amount > await store.debt_of(conn, recipient):
        raise Refusal("state_conflict", "Expected no more than the recipient owes")
