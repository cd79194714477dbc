"""Suspense placed by an operator: the money is split onto the account it belongs to."""

from typing import Any
from uuid import UUID

from gateway.bills import store as bill_store
from gateway.domain.bill import OpenBill, check_account
from gateway.domain.designation import still_meant
from gateway.domain.ids import PAYMENT, new_id, shown
from gateway.domain.party import Caller
from gateway.domain.payment import ACCEPTED, Claim
from gateway.domain.refusals import Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.flows.refund_payment import locked_payment
from gateway.journal import store as journal_store
from gateway.journal.rows import Cut, PaymentRow
from gateway.splitting import store as splitting_store
from gateway.splitting.split import NO_SURCHARGE, GroupSplit
from gateway.steps import timed


@timed("corrections", "resolve")
async def resolve(
    context: Context, claim: Claim, caller: Caller, payment: UUID, account: str
) -> Answer:
    """Split what is left in suspense of a payment onto an account's open bill.

    Refuses `not_found`, `account_invalid` (no open bill there), `state_conflict` (nothing left in
    suspense), and with the split's codes.
    """
    check_account(account)

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        row = await locked_payment(conn, caller, payment)
        if row.bill is not None or row.left == 0:
            raise Refusal("state_conflict", "Expected a payment with money in suspense")
        bill = (await bill_store.lock(conn, [account])).get(account)
        if bill is None:
            raise Refusal("account_invalid", "Expected an account with an open bill")
        return await _place(context, conn, cut, caller, row, bill)

    return await once(context, claim, new_id(), act)


async def _place(
    context: Context, conn: Any, cut: Cut, caller: Caller, row: PaymentRow, bill: OpenBill
) -> dict[str, object]:
    await splitting_store.fetch_plans(conn, context.plans, [bill.plan])
    # Last, with no wait before the split: a quote may bring other terms to the shelf meanwhile.
    await splitting_store.fetch_terms(conn, context.terms, cut.terms_version)
    at = context.clock.now()
    context.terms.at(at)
    plan = context.plans.get(bill.plan)
    split = GroupSplit(context.plans, context.terms)
    split.add_bill(bill)
    account = bill.subscriber_account
    amount = row.left
    meant = still_meant(row.designation, plan.service_index, amount)
    position = split.add_payment(account, plan, amount, False, row.method, NO_SURCHARGE, meant)
    split.run()
    allocation = split.allocation(position)
    await journal_store.add_resolution(conn, cut, caller.number, row, allocation, bill, at)
    await bill_store.save_paid(conn, [(account, split.paid(account), bill.sequence + 1)])
    return {
        "id": shown(PAYMENT, row.id),
        "state": ACCEPTED if row.left == row.amount else "partially_refunded",
        "subscriber_account": account,
        "amount": allocation.amount,
        "charges": allocation.charges,
        "shares": [
            {"service": share.service, "recipient": share.recipient, "amount": share.amount}
            for share in plan.names.shares(allocation.parts)
        ],
        "plan": plan.names.shown,
    }
