"""Finding payments: one by its id, many by account and time. An acquirer sees its own only."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.acquirers import store as acquirer_store
from gateway.acquirers.requests import Authorisation
from gateway.domain.ids import earliest
from gateway.domain.party import Caller
from gateway.domain.payment import ACCEPTED, Payment
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.flows.show_payment import shown_payments
from gateway.journal import store as journal_store

# An id is made when a payment comes, its moment when it is accepted; nothing waits this long.
AHEAD = timedelta(hours=1)


async def find(context: Context, caller: Caller, payment: UUID) -> Payment | Authorisation:
    """The payment as it stands now, or the try to take it while it is none.

    Refuses `not_found`, for somebody else's too.
    """
    async with context.connection() as conn:
        found: Payment | Authorisation | None = await stored(context, conn, payment)
        if found is None:
            found = await acquirer_store.find(conn, payment)
            if found is not None and found.state == ACCEPTED:
                # It was booked between the two looks.
                found = await stored(context, conn, payment)
    if found is None or not may_see(caller, found.caller):
        raise Refusal("not_found", "Expected the id of a payment")
    return found


async def stored(context: Context, conn: Any, payment: UUID) -> Payment | None:
    """The payment as it stands now, None where it is not in the journal."""
    rows = await journal_store.find_payments(conn, [payment])
    return (await shown_payments(context, conn, rows))[0] if rows else None


async def search(
    context: Context,
    caller: Caller,
    account: str | None,
    start: datetime | None,
    end: datetime | None,
    cursor: UUID | None,
    limit: int,
) -> tuple[list[Payment], UUID | None]:
    """Payments in the order of their ids, and the cursor of the next page if there is one."""
    since = None if start is None else earliest(start - AHEAD)
    after = max((bound for bound in (since, cursor) if bound is not None), default=None)
    before = None if end is None else earliest(end + AHEAD)
    own = caller.number if caller.role == "acquirer" else None
    async with context.connection() as conn:
        rows = await journal_store.search_payments(
            conn, own, account, (start, end), (after, before), limit + 1
        )
        page = rows[:limit]
        payments = await shown_payments(context, conn, page)
    return payments, page[-1].id if len(rows) > limit else None


def may_see(caller: Caller, owner: int) -> bool:
    """Whether a caller may see a payment that the caller numbered `owner` sent."""
    return caller.role != "acquirer" or caller.number == owner
