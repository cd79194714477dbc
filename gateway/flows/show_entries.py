"""What happened to a payment after it was accepted, as it is told beside it."""

from typing import Final
from uuid import UUID

from gateway.corrections import store
from gateway.domain.ids import CHARGEBACK, CORRECTION, REFUND, REVERSAL, shown
from gateway.flows.context import Context
from gateway.flows.correct_payment import shown_move
from gateway.splitting import store as splitting_store

_PREFIXES: Final = {
    "refund": REFUND,
    "correction": CORRECTION,
    "chargeback": CHARGEBACK,
    "reversal": REVERSAL,
}


async def entries(context: Context, payment: UUID) -> tuple[int, list[dict[str, object]]]:
    """Kopecks that the payer's bank took back and keeps, and every entry, oldest first."""
    async with context.connection() as conn:
        found = await store.entries_of(conn, payment)
        if not found:
            return 0, []
        moves = await store.moves_of(conn, payment)
        await splitting_store.fetch_plans(conn, context.plans, [move.plan for move in moves])
    signs = {"chargeback": 1, "reversal": -1}
    charged_back = sum(signs.get(entry.kind, 0) * entry.amount for entry in found)
    told = []
    for entry in found:
        one: dict[str, object] = {
            "id": shown(_PREFIXES[entry.kind], entry.id),
            "kind": entry.kind,
            "at": entry.at,
            "amount": entry.amount,
            "moves": [shown_move(context, move) for move in moves if move.entry == entry.id],
            "reason": entry.reason,
            "document": entry.document,
            "case": entry.case_id,
            "reason_code": entry.reason_code,
            "chargeback": (
                None if entry.chargeback is None else shown(CHARGEBACK, entry.chargeback)
            ),
        }
        told.append(one)
    return charged_back, told
