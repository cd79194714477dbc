"""Loading bills: a good line is kept though another is bad, a part of the file at a time.

A bill replaces the account's open bill of the same period, and what was paid on it stays paid; a
newer period becomes the open bill. Loading the same bill again changes nothing, so a load that was
cut off can simply be sent again.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from gateway.bills import store as bill_store
from gateway.bills.store import NO_BILL, BillRow
from gateway.domain.bill import Bill, OpenBill, check_bill, overpayment_policy
from gateway.domain.paid import carried
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import writing
from gateway.parties import store as party_store
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import Draft
from splitcore import SplitError, pack

PART_MAX = 500

Line = tuple[int, Bill]


async def load(
    context: Context, caller: Caller, bills: AsyncIterator[tuple[int, Bill | Refusal]]
) -> dict[str, object]:
    """Load (index, bill) lines, or the refusals they came to while being read.

    Answers `{"accepted", "refused": [{"index", "code", "detail"}]}`.
    """
    accepted = 0
    refused: list[tuple[int, Refusal]] = []
    part: list[Line] = []
    accounts: set[str] = set()

    async def keep() -> int:
        bad = await patiently(context, lambda: _load_part(context, caller, list(part)))
        refused.extend(bad)
        kept = len(part) - len(bad)
        part.clear()
        accounts.clear()
        return kept

    async for index, bill in bills:
        if isinstance(bill, Refusal):
            refused.append((index, bill))
            continue
        try:
            check_bill(bill)
        except Refusal as refusal:
            refused.append((index, refusal))
            continue
        # Two bills of one account are loaded one after the other.
        if bill.subscriber_account in accounts or len(part) >= PART_MAX:
            accepted += await keep()
        part.append((index, bill))
        accounts.add(bill.subscriber_account)
    if part:
        accepted += await keep()
    refused.sort(key=lambda entry: entry[0])
    return {
        "accepted": accepted,
        "refused": [
            {"index": index, "code": refusal.code, "detail": refusal.detail}
            for index, refusal in refused
        ],
    }


async def _load_part(
    context: Context, caller: Caller, part: Sequence[Line]
) -> list[tuple[int, Refusal]]:
    async with context.connection() as conn:
        known = await party_store.numbers(conn, _named([bill for _, bill in part]))
        lines, refused = _with_known_recipients(part, known)
        if not lines:
            return refused
        async with writing(conn):
            accounts = [bill.subscriber_account for _, bill in lines]
            before = await bill_store.lock_or_make(conn, accounts)
            lines, late = _not_closed(lines, before)
            rows, too_much = await _rows(conn, lines, known, before)
            if rows:
                await bill_store.replace(conn, rows, caller.number, context.clock.now())
    return refused + late + too_much


async def _rows(
    conn: Any, lines: Sequence[Line], known: dict[str, int], before: dict[str, OpenBill]
) -> tuple[list[BillRow], list[tuple[int, Refusal]]]:
    bills = [bill for _, bill in lines]
    drafts = [Draft(bill.charges, known) for bill in bills]
    numbers = await splitting_store.number_plans(conn, drafts)
    counts_from = await _counts_from(conn, bills, before)
    received = await bill_store.received(
        conn,
        [
            (account, sequence)
            for account, sequence in counts_from.items()
            if sequence < before[account].sequence
        ],
    )
    rows = []
    refused = []
    for (index, bill), draft in zip(lines, drafts, strict=True):
        account = bill.subscriber_account
        due = pack([charge.due for charge in bill.charges])
        try:
            paid = carried(draft.split, draft.service_index, due, received.get(account, {}))
        except SplitError as error:
            # More was paid than any bill can carry: this line's misfortune, not its neighbours'.
            refused.append((index, Refusal(error.code, error.detail)))
            continue
        rows.append(
            BillRow(
                subscriber_account=account,
                period=bill.period,
                plan=numbers[draft.digest],
                overpayment=overpayment_policy(bill),
                sequence=before[account].sequence,
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
    conn: Any, bills: Sequence[Bill], before: dict[str, OpenBill]
) -> dict[str, int]:
    """After which of the account's payments the new dues know nothing yet.

    With `as_of` the billing centre says so itself; a new period without it has everything in it.
    """
    told = [(bill.subscriber_account, bill.as_of) for bill in bills if bill.as_of is not None]
    known = await bill_store.last_known(conn, told) if told else {}
    counts_from = {}
    for bill in bills:
        account = bill.subscriber_account
        earlier = before[account]
        if bill.as_of is not None:
            counts_from[account] = known[account]
        elif earlier.period == bill.period:
            counts_from[account] = earlier.counts_from
        else:
            counts_from[account] = earlier.sequence
    return counts_from


def _named(bills: Sequence[Bill]) -> set[str]:
    named = {charge.recipient for bill in bills for charge in bill.charges}
    for bill in bills:
        for charge in bill.charges:
            named.update(entry.recipient for entry in charge.second_level)
    return named


def _with_known_recipients(
    part: Sequence[Line], known: dict[str, int]
) -> tuple[list[Line], list[tuple[int, Refusal]]]:
    good: list[Line] = []
    bad: list[tuple[int, Refusal]] = []
    for index, bill in part:
        if all(id_ in known for id_ in _named([bill])):
            good.append((index, bill))
        else:
            refusal = Refusal("recipient_unknown", "Expected recipients that are registered")
            bad.append((index, refusal))
    return good, bad


def _not_closed(
    lines: Sequence[Line], before: dict[str, OpenBill]
) -> tuple[list[Line], list[tuple[int, Refusal]]]:
    good: list[Line] = []
    bad: list[tuple[int, Refusal]] = []
    for index, bill in lines:
        earlier = before[bill.subscriber_account]
        if earlier.bill != NO_BILL and bill.period < earlier.period:
            bad.append((index, Refusal("period_closed", "Expected no older period than is open")))
        else:
            good.append((index, bill))
    return good, bad


def _weights(bill: Bill) -> bytes | None:
    if all(charge.weight is None or charge.weight == charge.due for charge in bill.charges):
        return None
    return pack([charge.due if charge.weight is None else charge.weight for charge in bill.charges])
