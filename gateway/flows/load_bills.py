"""Loading bills: a good line is kept though another is bad, a part of the file at a time.

A bill replaces the account's open bill of the same period, and what was paid on it stays paid; a
newer period becomes the open bill. Loading the same bill again changes nothing, so a load that was
cut off can simply be sent again.
"""

import asyncio
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
from gateway.parties import store as party_store
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import BillPlan, Draft
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
    context: Context, caller: Caller, slices: AsyncIterator[Sequence[Bill | Refusal]]
) -> dict[str, object]:
    """Load bills in slices of any size, a Refusal standing for a bill that could not be read.

    Answers `{"accepted", "refused": [{"index", "code", "detail"}]}`.
    """
    loading = _Loading(context, caller)
    try:
        async for bills in slices:
            for bill in bills:
                await loading.take(bill)
        await loading.keep()
    finally:
        await loading.keep_nothing_more()
    refused = sorted(loading.refused, key=lambda entry: entry[0])
    return {
        "accepted": loading.taken - len(refused),
        "refused": [
            {"index": index, "code": refusal.code, "detail": refusal.detail}
            for index, refusal in refused
        ],
    }


class _Loading:
    """Gathers a part while the one before is written."""

    def __init__(self, context: Context, caller: Caller) -> None:
        self.taken = 0
        self.refused: Refused = []
        self._context = context
        self._caller = caller
        self._part: dict[str, Line] = {}
        self._writing: asyncio.Task[Refused] | None = None

    async def take(self, bill: Bill | Refusal) -> None:
        index = self.taken
        self.taken += 1
        try:
            if isinstance(bill, Refusal):
                raise bill
            structure = structure_of(bill)
            plan = self._context.structures.get(structure)
            check_bill(bill, known=plan is not None)
        except Refusal as refusal:
            self.refused.append((index, refusal))
            return
        account = bill.subscriber_account
        # Two bills of one account are loaded one after the other.
        if account in self._part or len(self._part) >= PART_MAX:
            await self._begin_part()
        self._part[account] = Line(index, bill, structure, plan)

    async def keep(self) -> None:
        """Until everything taken is kept."""
        if self._part:
            await self._begin_part()
        await self._end_part()

    async def keep_nothing_more(self) -> None:
        """Let what was begun come to its end, whatever it is: nobody waits for it any more."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
            self._writing.exception()

    async def _begin_part(self) -> None:
        await self._end_part()
        part, self._part = self._part, {}
        lines = [part[account] for account in sorted(part)]
        context, caller = self._context, self._caller
        self._writing = asyncio.create_task(
            patiently(context, lambda: _load_part(context, caller, lines))
        )

    async def _end_part(self) -> None:
        if self._writing is not None:
            self.refused += await asyncio.shield(self._writing)
            self._writing = None


async def _load_part(context: Context, caller: Caller, part: Sequence[Line]) -> Refused:
    """Lines of one bill an account, in the order of their accounts."""
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
        structure: BillPlan(numbers[draft.digest], draft.split, draft.service_index)
        for structure, draft in drafts.items()
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
        try:
            paid = carried(plan.split, plan.service_index, due, received.get(account, {}))
        except SplitError as error:
            # More was paid than any bill can carry: this line's misfortune, not its neighbours'.
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
    weights = [charge.due if charge.weight is None else charge.weight for charge in bill.charges]
    if weights == [charge.due for charge in bill.charges]:
        return None
    return pack(weights)
