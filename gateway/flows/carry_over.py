"""What a new bill takes over from the open one: which payments count on it, and what is paid."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.bills import store as bill_store
from gateway.bills.rows import BillRow
from gateway.domain.bill import OpenBill
from gateway.domain.packed_bill import BillForm, PackedBill
from gateway.domain.paid import carried
from gateway.domain.refusals import Refusal
from gateway.splitting.plans import BillPlan
from splitcore import SplitError

Line = tuple[int, PackedBill]
"""A bill and where it stands in the load."""

Refused = list[tuple[int, Refusal]]


async def rows(
    conn: Any,
    lines: Sequence[Line],
    plans: Mapping[BillForm, BillPlan],
    before: Mapping[str, OpenBill],
) -> tuple[list[BillRow], Refused]:
    """Rows of the bills of a part, given the open bills of their accounts, which are locked.

    Refuses `period_closed`, and what the splitting core does of more money than a bill can carry.
    """
    if not before:
        return [_first(bill, plans[bill.form]) for _, bill in lines], []
    lines, refused = _not_closed(lines, before)
    counts_from = await _counts_from(conn, [bill for _, bill in lines], before)
    received = await bill_store.received(
        conn,
        [
            (account, sequence)
            for account, sequence in counts_from.items()
            if sequence < before[account].sequence
        ],
    )
    found = []
    for index, bill in lines:
        account = bill.subscriber_account
        plan = plans[bill.form]
        if account not in before:
            found.append(_first(bill, plan))
            continue
        paid = plan.nothing
        if account in received:
            try:
                paid = carried(plan.split, plan.service_index, bill.due, received[account])
            except SplitError as error:
                # More was paid than any bill can carry: this line's misfortune alone.
                refused.append((index, Refusal(error.code, error.detail)))
                continue
        sequence = before[account].sequence
        found.append(BillRow(bill, plan.number, sequence, counts_from[account], paid))
    return found, refused


def _first(bill: PackedBill, plan: BillPlan) -> BillRow:
    return BillRow(bill, plan.number, 0, 0, plan.nothing)


def _not_closed(
    lines: Sequence[Line], before: Mapping[str, OpenBill]
) -> tuple[list[Line], Refused]:
    good: list[Line] = []
    bad: Refused = []
    for index, bill in lines:
        earlier = before.get(bill.subscriber_account)
        if earlier is not None and bill.form.period < earlier.period:
            refusal = Refusal("period_closed", "Expected no older period than is open")
            bad.append((index, refusal))
        else:
            good.append((index, bill))
    return good, bad


async def _counts_from(
    conn: Any, bills: Sequence[PackedBill], before: Mapping[str, OpenBill]
) -> dict[str, int]:
    """After which of an account's payments the new dues know nothing yet, if it has an open bill.

    With `as_of` the billing centre says so itself; a new period without it has everything in it.
    """
    told = [
        (bill.subscriber_account, bill.form.as_of)
        for bill in bills
        if bill.form.as_of is not None and bill.subscriber_account in before
    ]
    known = await bill_store.last_known(conn, told) if told else {}
    counts_from = {}
    for bill in bills:
        account = bill.subscriber_account
        earlier = before.get(account)
        if earlier is None:
            continue
        if bill.form.as_of is not None:
            counts_from[account] = known[account]
        elif earlier.period == bill.form.period:
            counts_from[account] = earlier.counts_from
        else:
            counts_from[account] = earlier.sequence
    return counts_from
