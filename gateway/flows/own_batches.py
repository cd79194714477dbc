"""Settlement batches in pages, and one of them as a recipient sees it: its own figures alone.

What a batch says of all its recipients together (how many payments, what it pays, who approved it
and why) is not told to one of them.
"""

from typing import Any
from uuid import UUID

from gateway.domain.ids import OBLIGATION, PAYOUT, SETTLEMENT_BATCH, TRANSFER, shown
from gateway.domain.refusals import Refusal
from gateway.flows import after_restore, agreed_days
from gateway.flows.context import Context
from gateway.obligations import store as obligation_store
from gateway.parties import store as party_store
from gateway.seals import store as seal_store
from gateway.settlement import store as settlement_store
from gateway.settlement import store_own
from gateway.settlement.store_own import OwnBatch


async def page(
    context: Context, recipient: str | None, state: str | None, cursor: UUID | None, limit: int
) -> dict[str, object]:
    """Batches, the newest first: `{"settlement_batches", "next_cursor"}`.

    With a `recipient` those that it has a position in, as it sees them. Refuses `not_found` for
    one that is not registered, `malformed` for a cursor that no answer gave.
    """
    found: list[dict[str, object]]
    async with context.connection() as conn:
        before = None
        if cursor is not None:
            before = await store_own.number_of(conn, cursor)
            if before is None:
                raise Refusal("malformed", "Expected cursor as an answer gave it")
        if recipient is None:
            lines = await store_own.page(conn, before, state, limit + 1)
            found = [
                {
                    "id": shown(SETTLEMENT_BATCH, line.id),
                    "state": line.state,
                    "business_date": line.business_date,
                    "settlement_date": line.settlement_date,
                    "closed_at": line.closed_at,
                    "payments": line.payments,
                    "payable": line.payable,
                }
                for line in lines
            ]
        else:
            if not await party_store.numbers(conn, [recipient]):
                raise Refusal("not_found", "Expected a recipient that is registered")
            own = await store_own.own_page(conn, recipient, before, state, limit + 1)
            found = [_line(one) for one in own]
    following = found[limit - 1]["id"] if len(found) > limit else None
    return {"settlement_batches": found[:limit], "next_cursor": following}


async def show(context: Context, recipient: str, batch: UUID) -> dict[str, object]:
    """One batch as a recipient sees it; refuses `not_found` where it has no position in it."""
    async with context.connection() as conn:
        own = await store_own.own_batch(conn, recipient, batch)
        if own is None:
            raise Refusal("not_found", "Expected a settlement batch that you have a position in")
        row = await settlement_store.find_numbered(conn, own.number)
        days = await agreed_days.of_report(context, conn, row, recipient)
        seals = await seal_store.of_batch(conn, batch)
        number = (await party_store.numbers(conn, [recipient]))[recipient]
        transfers = await obligation_store.transfers(conn, own.number, number)
        paid_before = await after_restore.booked_shown(conn, own.number, number)
    root = next((seal.root.hex() for seal in seals if seal.stage == "counted"), None)
    return {
        **_line(own),
        "business_days": days.get("business_days", []),
        "held_until": days.get("held_until"),
        "approved_at": own.approved_at,
        "root": root,
        "paid_before": paid_before,
        "transfers": [
            {
                "id": shown(TRANSFER, one.id),
                "obligation": shown(OBLIGATION, one.obligation),
                "debtor": one.debtor,
                "creditor": one.creditor,
                "service": one.service,
                "amount": one.amount,
                "document_number": one.document_number,
                "document_date": one.document_date,
            }
            for one in transfers
        ],
    }


def _line(own: OwnBatch) -> dict[str, Any]:
    position, payout = own.position, own.payout
    return {
        "id": shown(SETTLEMENT_BATCH, own.id),
        "state": own.state,
        "business_date": own.business_date,
        "settlement_date": own.settlement_date,
        "closed_at": own.closed_at,
        "position": {
            name: getattr(position, name)
            for name in position.__struct_fields__
            if name != "order_number"
        },
        "payout": None
        if payout is None
        else {
            "id": shown(PAYOUT, payout.id),
            "amount": payout.amount,
            "state": payout.state,
            "order_number": payout.order_number,
            "order_date": payout.order_date,
        },
    }
