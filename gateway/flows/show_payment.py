"""A payment as it is shown, from its row and the plan it was split by."""

from collections.abc import Sequence
from typing import Any

from gateway.domain.payment import Payment
from gateway.domain.states import payment_state
from gateway.flows.context import Context
from gateway.journal.rows import PaymentRow
from gateway.splitting import store as splitting_store


async def shown_payments(context: Context, conn: Any, rows: Sequence[PaymentRow]) -> list[Payment]:
    """Payments of these rows, in their order."""
    plans = [row.plan for row in rows if row.plan is not None]
    await splitting_store.fetch_plans(conn, context.plans, plans)
    return [_shown(context, row) for row in rows]


def _shown(context: Context, row: PaymentRow) -> Payment:
    split: dict[str, Any] = {}
    if row.plan is not None and row.shares is not None:
        plan = context.plans.get(row.plan)
        split = {
            "allocation": plan.allocation(row.amount, row.surcharge, row.shares, row.commissions),
            "names": plan.names,
            "period": row.period,
        }
    return Payment(
        id=row.id,
        caller=row.caller,
        state=payment_state(row.bill is None, row.amount, row.amount - row.left),
        subscriber_account=row.placed_on,
        amount=row.amount,
        surcharge=row.surcharge,
        method=row.method,
        facts=row.facts,
        accepted_at=row.accepted_at,
        designation=row.designation,
        reference=row.reference,
        paid_at=row.paid_at,
        refunded=row.refunded,
        **split,
    )
