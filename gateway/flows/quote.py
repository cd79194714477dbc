"""A quote: how a payment would be split if it came now. Nothing is stored."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.bills import store as bill_store
from gateway.domain.bill import OpenBill
from gateway.domain.plan_names import PlanNames
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.splitting import store as splitting_store
from gateway.splitting.split import GroupSplit
from splitcore import GroupAllocation


class Quote(Struct, frozen=True):
    """The allocation a payment would get, what its numbers are called, and by which terms,
    as they were at a moment.
    """

    allocation: GroupAllocation
    names: PlanNames
    period: str
    terms_version: int
    at: datetime


async def quote(
    context: Context,
    account: str,
    amount: int,
    is_total: bool,
    method: int,
    designation: tuple[tuple[str, int], ...],
) -> Quote:
    """The quote; refuses with the split's codes, or `not_found` without an open bill."""
    async with context.connection() as conn:
        return await quote_by(context, conn, account, amount, is_total, method, designation)


async def quote_by(
    context: Context,
    conn: Any,
    account: str,
    amount: int,
    is_total: bool,
    method: int,
    designation: tuple[tuple[str, int], ...],
) -> Quote:
    """The same on a connection of the caller's."""
    bill = (await bill_store.find(conn, [account])).get(account)
    if bill is None:
        raise Refusal("not_found", "Expected an account with an open bill")
    terms = await terms_for(context, conn, bill)
    return quote_of(context, bill, terms, amount, is_total, method, designation)


async def terms_for(context: Context, conn: Any, bill: OpenBill) -> int:
    """The version of the terms in force, which with the bill's plan is at hand from now on.

    Whoever splits by it does so without a wait in between: other terms may come to the shelf.
    """
    version = await splitting_store.current_version(conn)
    await splitting_store.fetch_plans(conn, context.plans, [bill.plan])
    await splitting_store.fetch_terms(conn, context.terms, version)
    return version


def quote_of(
    context: Context,
    bill: OpenBill,
    version: int,
    amount: int,
    is_total: bool,
    method: int,
    designation: tuple[tuple[str, int], ...],
) -> Quote:
    """The quote by a bill that was read, and by the terms that `terms_for` brought."""
    at = context.clock.now()
    context.terms.at(at)
    plan = context.plans.get(bill.plan)
    split = GroupSplit(context.plans, context.terms)
    split.add_bill(bill)
    account = bill.subscriber_account
    position = split.add_payment(account, plan, amount, is_total, method, None, designation)
    split.run()
    return Quote(split.allocation(position), plan.names, bill.period, version, at)
