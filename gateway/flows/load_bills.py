"""Loading bills: a good line is kept though another is bad, a part of the file at a time.

A bill replaces the account's open bill of the same period, and what was paid on it stays paid; a
newer period becomes the open bill. Loading the same bill again changes nothing, so a load that was
cut off can simply be sent again.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from gateway.bills import store as bill_store
from gateway.bills.store import OpenedMeanwhile
from gateway.domain.packed_bill import BillForm, PackedBill
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.flows import bill_plans, carry_over
from gateway.flows.carry_over import Line, Refused
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import writing
from gateway.splitting.plans import BillPlan

# A COPY pays about a millisecond whenever it has more than a thousand rows; the accounts of a part
# are locked while it is written.
PART_MAX: Final = 4_000
# While one part waits for us between two statements, the database writes the other.
WRITERS_MAX: Final = 2
# A part is in memory twice, and one message to the database.
PART_PAYERS_LENGTH_MAX: Final = 4_194_304

Part = dict[str, Line]
Plans = Mapping[BillForm, BillPlan]


async def load(
    context: Context, caller: Caller, bunches: AsyncIterator[Sequence[PackedBill | Refusal]]
) -> dict[str, object]:
    """Load bills in bunches of any size, a Refusal standing for a bill that was found bad.

    Answers `{"accepted", "refused": [{"index", "code", "detail"}]}`.
    """
    with context.steps.step("bills", "load") as step:
        read = 0
        unread: Refused = []
        refused: Refused = []
        written: deque[tuple[Part, asyncio.Task[Refused]]] = deque()
        try:
            async with asyncio.TaskGroup() as writers:
                # A part is gathered while those before it are written.
                async for part in _parts(bunches, unread):
                    while written and _must_wait(part, [before for before, _ in written]):
                        refused += await written.popleft()[1]
                    task = writers.create_task(_write_part(context, caller, part))
                    written.append((part, task))
                    read += len(part)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        for _, task in written:
            refused += task.result()
        step.rows(read + len(unread))
    return {
        "accepted": read - len(refused),
        "refused": [
            {"index": index, "code": refusal.code, "detail": refusal.detail}
            for index, refusal in sorted(unread + refused, key=lambda entry: entry[0])
        ],
    }


def _must_wait(part: Part, before: Sequence[Part]) -> bool:
    """Whether a part is one too many, or has an account in common with one being written."""
    return len(before) >= WRITERS_MAX or any(not part.keys().isdisjoint(other) for other in before)


async def _parts(
    bunches: AsyncIterator[Sequence[PackedBill | Refusal]], unread: Refused
) -> AsyncIterator[Part]:
    """What was found good in parts, a bill an account."""
    numbers = itertools.count()
    part: Part = {}
    payers_length = 0
    async for bills in bunches:
        for bill, index in zip(bills, numbers, strict=False):
            if isinstance(bill, Refusal):
                unread.append((index, bill))
                continue
            # Two bills of one account are loaded one after the other.
            full = len(part) >= PART_MAX or payers_length >= PART_PAYERS_LENGTH_MAX
            if full or bill.subscriber_account in part:
                yield part
                part, payers_length = {}, 0
            part[bill.subscriber_account] = (index, bill)
            if bill.payer is not None:
                payers_length += len(bill.payer)
    if part:
        yield part


async def _write_part(context: Context, caller: Caller, part: Part) -> Refused:
    # Accounts are locked and added in their order, so that loads cannot wait for each other.
    lines = [part[account] for account in sorted(part)]
    return await patiently(context, lambda: _load_part(context, caller, lines))


async def _load_part(context: Context, caller: Caller, part: Sequence[Line]) -> Refused:
    async with context.connection() as conn:
        plans = await bill_plans.find(context, conn, {bill.form for _, bill in part})
        lines, refused = _planned(part, plans)
        while lines:
            try:
                async with writing(conn):
                    return refused + await _keep(context, conn, caller, lines, plans)
            except OpenedMeanwhile:
                continue
    return refused


def _planned(part: Sequence[Line], plans: Plans) -> tuple[Sequence[Line], Refused]:
    """The lines that have a plan; the others name recipients that are unknown."""
    refusal = Refusal("recipient_unknown", "Expected recipients that are registered")
    refused = [(index, refusal) for index, bill in part if bill.form not in plans]
    if not refused:
        return part, []
    return [line for line in part if line[1].form in plans], refused


async def _keep(
    context: Context, conn: Any, caller: Caller, lines: Sequence[Line], plans: Plans
) -> Refused:
    await bill_store.by_index(conn)
    before = await bill_store.lock(conn, [bill.subscriber_account for _, bill in lines])
    rows, refused = await carry_over.rows(conn, lines, plans, before)
    if rows:
        opened = before.keys()
        await bill_store.add(conn, rows, opened, caller.number, context.clock.now())
    return refused
