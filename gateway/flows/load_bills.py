"""Loading bills: a good line is kept though another is bad, a part of the file at a time.

A bill replaces the account's open bill of the same period, and what was paid on it stays paid; a
newer period becomes the open bill. Loading the same bill again changes nothing, so a load that was
cut off can simply be sent again.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from gateway.bills import store as bill_store
from gateway.bills.store import BillRow, OpenedMeanwhile
from gateway.domain.bill import (
    Bill,
    OpenBill,
    Structure,
    check_bill,
    overpayment_policy,
    structure_of,
)
from gateway.domain.paid import carried
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import writing
from gateway.methods import contains_pan
from gateway.parties import store as party_store
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import BillPlan, Draft, StructureShelf
from splitcore import SplitError, pack

PART_MAX = 2_000

Refused = list[tuple[int, Refusal]]


class Line(Struct, frozen=True):
    """A bill that is well in itself, where it stands in the load, and its plan if it is known."""

    index: int
    bill: Bill
    structure: Structure
    plan: BillPlan | None


Planned = tuple[Line, BillPlan]


async def load(
    context: Context, caller: Caller, bunches: AsyncIterator[Sequence[Bill | Refusal]]
) -> dict[str, object]:
    """Load bills in bunches of any size, a Refusal standing for a bill that could not be read.

    Answers `{"accepted", "refused": [{"index", "code", "detail"}]}`.
    """
    read = 0
    unread: Refused = []
    refused: Refused = []
    written: asyncio.Task[Refused] | None = None
    try:
        async with asyncio.TaskGroup() as writers:
            # A part is gathered while the one before is written.
            async for part in _parts(context, bunches, unread):
                if written is not None:
                    refused += await written
                written = writers.create_task(_write_part(context, caller, part))
                read += len(part)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    if written is not None:
        refused += written.result()
    return {
        "accepted": read - len(refused),
        "refused": [
            {"index": index, "code": refusal.code, "detail": refusal.detail}
            for index, refusal in sorted(unread + refused, key=lambda entry: entry[0])
        ],
    }


async def _parts(
    context: Context, bunches: AsyncIterator[Sequence[Bill | Refusal]], unread: Refused
) -> AsyncIterator[list[Line]]:
    """What is well in itself in parts, a bill an account, in the order of their accounts."""
    numbers = itertools.count()
    part: dict[str, Line] = {}
    async for bills in bunches:
        for bill, index in zip(bills, numbers, strict=False):
            try:
                line = _checked(context.structures, index, bill)
            except Refusal as refusal:
                unread.append((index, refusal))
                continue
            # Two bills of one account are loaded one after the other.
            if line.bill.subscriber_account in part or len(part) >= PART_MAX:
                yield [part[account] for account in sorted(part)]
                part = {}
            part[line.bill.subscriber_account] = line
    if part:
        yield [part[account] for account in sorted(part)]


def _checked(structures: StructureShelf, index: int, bill: Bill | Refusal) -> Line:
    if isinstance(bill, Refusal):
        raise bill
    structure = structure_of(bill)
    plan = structures.get(structure)
    check_bill(bill, known=plan is not None)
    if plan is None and any(contains_pan(charge.service) for charge in bill.charges):
        raise Refusal("pan_not_allowed", "Expected services without a card number")
    if bill.payer is not None and contains_pan(orjson.dumps(bill.payer).decode()):
        raise Refusal("pan_not_allowed", "Expected a payer without a card number")
    return Line(index, bill, structure, plan)


async def _write_part(context: Context, caller: Caller, part: Sequence[Line]) -> Refused:
    return await patiently(context, lambda: _load_part(context, caller, part))


async def _load_part(context: Context, caller: Caller, part: Sequence[Line]) -> Refused:
    async with context.connection() as conn:
        lines, refused = await _with_plans(context, conn, part)
        while lines:
            try:
                async with writing(conn):
                    return refused + await _keep(context, conn, caller, lines)
            except OpenedMeanwhile:
                continue
    return refused


async def _keep(context: Context, conn: Any, caller: Caller, lines: Sequence[Planned]) -> Refused:
    before = await bill_store.lock(conn, [line.bill.subscriber_account for line, _ in lines])
    lines, late = _not_closed(lines, before)
    rows, too_much = await _rows(conn, lines, before)
    if rows:
        await bill_store.add(conn, rows, before, caller.number, context.clock.now())
    return late + too_much


async def _with_plans(
    context: Context, conn: Any, part: Sequence[Line]
) -> tuple[list[Planned], Refused]:
    """Each line with its plan; lines that name unknown recipients are refused."""
    fresh = {line.structure for line in part if line.plan is None}
    plans = await _add_plans(context, conn, fresh) if fresh else {}
    planned = []
    refused = []
    for line in part:
        plan = line.plan or plans.get(line.structure)
        if plan is None:
            refusal = Refusal("recipient_unknown", "Expected recipients that are registered")
            refused.append((line.index, refusal))
        else:
            planned.append((line, plan))
    return planned, refused


async def _add_plans(
    context: Context, conn: Any, fresh: Iterable[Structure]
) -> dict[Structure, BillPlan]:
    """The plans of structures, those left out that name unknown recipients.

    They are committed by themselves: one that no bill comes to use does no harm.
    """
    recipients = await party_store.numbers(conn, set().union(*map(_named, fresh)))
    drafts = {
        structure: Draft(structure, recipients)
        for structure in fresh
        if _named(structure) <= recipients.keys()
    }
    async with writing(conn):
        numbers = await splitting_store.number_plans(conn, list(drafts.values()))
    plans = {
        structure: draft.numbered(numbers[draft.digest]) for structure, draft in drafts.items()
    }
    for structure, plan in plans.items():
        context.structures.put(structure, plan)
    return plans


def _named(structure: Structure) -> set[str]:
    named = {recipient for _, recipient, _, _ in structure}
    for _, _, _, second_level in structure:
        named.update(entry.recipient for entry in second_level)
    return named


async def _rows(
    conn: Any, lines: Sequence[Planned], before: Mapping[str, OpenBill]
) -> tuple[list[BillRow], Refused]:
    counts_from = await _counts_from(conn, [line.bill for line, _ in lines], before)
    received = await bill_store.received(
        conn,
        [
            (account, sequence)
            for account, sequence in counts_from.items()
            if account in before and sequence < before[account].sequence
        ],
    )
    rows = []
    refused = []
    for line, plan in lines:
        bill = line.bill
        account = bill.subscriber_account
        due = pack([charge.due for charge in bill.charges])
        paid = plan.nothing
        if account in received:
            try:
                paid = carried(plan.split, plan.service_index, due, received[account])
            except SplitError as error:
                # More was paid than any bill can carry: this line's misfortune alone.
                refused.append((line.index, Refusal(error.code, error.detail)))
                continue
        rows.append(
            BillRow(
                subscriber_account=account,
                period=bill.period,
                plan=plan.number,
                overpayment=overpayment_policy(bill),
                sequence=before[account].sequence if account in before else 0,
                counts_from=counts_from[account],
                due=due,
                weight=_weights(bill),
                paid=paid,
                payer=None if bill.payer is None else orjson.dumps(bill.payer).decode(),
                as_of=bill.as_of,
            )
        )
    return rows, refused


async def _counts_from(
    conn: Any, bills: Sequence[Bill], before: Mapping[str, OpenBill]
) -> dict[str, int]:
    """After which of the account's payments the new dues know nothing yet.

    With `as_of` the billing centre says so itself; a new period without it has everything in it.
    """
    told = [
        (bill.subscriber_account, bill.as_of)
        for bill in bills
        if bill.as_of is not None and bill.subscriber_account in before
    ]
    known = await bill_store.last_known(conn, told) if told else {}
    counts_from = {}
    for bill in bills:
        account = bill.subscriber_account
        earlier = before.get(account)
        if earlier is None:
            counts_from[account] = 0
        elif bill.as_of is not None:
            counts_from[account] = known[account]
        elif earlier.period == bill.period:
            counts_from[account] = earlier.counts_from
        else:
            counts_from[account] = earlier.sequence
    return counts_from


def _not_closed(
    lines: Sequence[Planned], before: Mapping[str, OpenBill]
) -> tuple[list[Planned], Refused]:
    good: list[Planned] = []
    bad: Refused = []
    for line, plan in lines:
        earlier = before.get(line.bill.subscriber_account)
        if earlier is not None and line.bill.period < earlier.period:
            refusal = Refusal("period_closed", "Expected no older period than is open")
            bad.append((line.index, refusal))
        else:
            good.append((line, plan))
    return good, bad


def _weights(bill: Bill) -> bytes | None:
    charges = bill.charges
    told = [charge.weight for charge in charges]
    if told.count(None) == len(told):
        return None
    dues = [charge.due for charge in charges]
    weights = [due if weight is None else weight for due, weight in zip(dues, told, strict=True)]
    return None if weights == dues else pack(weights)
