"""A recipient's report of a settlement batch: a row a share, a row for what each obligation brought
or took, and one for what each earlier batch carried on, adding up to its position.

The first report of a batch has all of its rows laid out, for every recipient. A report is then read
page by page, with no connection held while its reader takes what was read.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from uuid import UUID

from gateway.domain.ids import OBLIGATION, SETTLEMENT_BATCH, shown
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows import after_restore, agreed_days
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.flows.seal_batches import counted_root
from gateway.journal.db_transaction import counting
from gateway.obligations import store as obligation_store
from gateway.parties import store as party_store
from gateway.settlement import store as settlement_store
from gateway.settlement import store_columns
from gateway.settlement.report_columns import Payer, payer_of
from gateway.settlement.report_files import (
    CARRIED,
    RETURNED,
    Totals,
    TransferLine,
)
from gateway.settlement.report_files import (
    OBLIGATION as OWED,
)
from gateway.settlement.report_forms import FORMATS, ReportForm, report_form
from gateway.settlement.store import BatchRow, PositionRow
from gateway.steps import timed
from splitcore import ShareRows

# Records are fetched so many at a time, the next while these are told, and told in such pieces.
RECORDS_AT_ONCE = 32_768
PIECE_BYTES = 131_072
# What a report's rows add up to, which has to be its position's.
SUMMED = ("gross", "commission", "refunds", "net", "transferred")
# So many earlier batches are named; the earliest then stands for what was carried to it too.
CARRIED_MAX = 100


@timed("settlement", "report")
async def report(
    context: Context, batch: UUID, recipient: str, name: str
) -> AsyncGenerator[bytes, None]:
    """The report's bytes in chunks, to be closed by its reader; refuses before the first of them.

    Refuses `not_found` (no such batch, or no position of this recipient in it), `malformed` for an
    unknown format, `state_conflict` while the batch is being counted.
    """
    if name not in FORMATS:
        raise Refusal("malformed", f"Expected a format of {', '.join(FORMATS)}")
    async with context.connection() as conn:
        row = await settlement_store.find(conn, batch)
        party = await party_store.find(conn, recipient)
        if row is None or party is None:
            raise Refusal("not_found", "Expected a settlement batch and a recipient")
        positions = await settlement_store.positions(conn, row.number)
        days = (
            {}
            if row.payments is None
            else await agreed_days.of_report(context, conn, row, recipient)
        )
        # Told where there is any: reports of before stay the bytes they were.
        if booked := await after_restore.booked_shown(conn, row.number, party[0]):
            days = {**days, "paid_before": booked}
        laid_out = await settlement_store.laid_out(conn, row.number)
        wide = await store_columns.has_columns(conn, row.number)
    if row.payments is None:
        raise Refusal("state_conflict", "Expected a batch that is counted; close it again")
    position = next((p for p in positions if p.recipient == recipient), None)
    if position is None:
        raise Refusal("not_found", "Expected a recipient with a position in the batch")
    if not laid_out:
        await _lay_out(context, row.number)
    root = await counted_root(context, batch)
    form = report_form(name, shown(SETTLEMENT_BATCH, batch), recipient, root.hex(), days, wide)
    return _chunks(context, row, position, party[0], form)


async def _lay_out(context: Context, number: int) -> None:
    async def attempt() -> None:
        async with context.connection() as conn, counting(conn):
            await settlement_store.lay_out(conn, number)

    await patiently(context, attempt)


async def _chunks(
    context: Context,
    batch: BatchRow,
    position: PositionRow,
    recipient: int,
    form: ReportForm,
) -> AsyncGenerator[bytes, None]:
    rows = ShareRows(form.layout)
    yield form.head()
    async with aclosing(_pages(context, batch.number, recipient, rows, form.text)) as read:
        async for pages in read:
            rows.read(pages)
            while content := rows.next_text(PIECE_BYTES):
                payers = await _payers(context, batch, form.accounts(content))
                if piece := form.rows(content, payers):
                    yield piece
    transfers = await _transfers(context, batch, position.recipient, recipient)
    transfers += await _stood_over(context, batch, position, recipient)
    if piece := form.rows(b"".join(map(form.transfer, transfers)), {}):
        yield piece
    totals = _totals(rows.totals(), transfers, position)
    if any(getattr(totals, name) != getattr(position, name) for name in SUMMED):
        raise InvariantBroken("Expected a report whose rows add up to its position")
    yield form.tail(totals)


async def _payers(context: Context, batch: BatchRow, accounts: list[str]) -> dict[str, Payer]:
    """Who lives at accounts, as their last bills before the close say."""
    if not accounts:
        return {}
    async with context.connection() as conn:
        found = await store_columns.payers(conn, accounts, batch.closed_at)
    return {account: payer_of(told) for account, told in found.items()}


async def _transfers(
    context: Context, batch: BatchRow, name: str, recipient: int
) -> list[TransferLine]:
    """What obligations took from a recipient in a batch, below zero, and brought to it."""
    async with context.connection() as conn:
        found = await obligation_store.transfers(conn, batch.number, recipient)
    return [
        TransferLine(
            batch.closed_at,
            row.service,
            -row.amount if row.debtor == name else row.amount,
            row.creditor if row.debtor == name else row.debtor,
            row.document_number,
            row.document_date,
            shown(OBLIGATION, row.obligation),
        )
        for row in found
    ]


async def _stood_over(
    context: Context, batch: BatchRow, position: PositionRow, recipient: int
) -> list[TransferLine]:
    """What earlier batches left to this one, by the reports that have its rows, and what came back.

    None of batches whose reports were given out before there were such rows.
    """
    async with context.connection() as conn:
        if not await store_columns.has_carried(conn, batch.number):
            return []
        found = []
        if position.carried_in:
            limit = CARRIED_MAX
            found = await store_columns.before(conn, recipient, batch.number, limit)
    left, parts = position.carried_in, []
    for number, row in enumerate(found, 1):
        if not left:
            break
        if row.carried_out != left or row.number != batch.number - number:
            raise InvariantBroken("Expected a position to carry on what the one before left")
        is_last = number == CARRIED_MAX
        parts.append((left if is_last else left - row.carried_in, row.batch))
        left = 0 if is_last else row.carried_in
    if left:
        raise InvariantBroken("Expected positions that what is carried on came from")

    def line(kind: str, amount: int, document: str) -> TransferLine:
        return TransferLine(batch.closed_at, "", amount, "", document, None, None, kind)

    lines = [line(CARRIED, amount, shown(SETTLEMENT_BATCH, id_)) for amount, id_ in parts[::-1]]
    back = [line(RETURNED, position.returned, "")] if position.returned else []
    return [one for one in lines if one.amount] + back


def _totals(
    told: tuple[int, ...], transfers: Sequence[TransferLine], position: PositionRow
) -> Totals:
    count, gross, commission, refunds = told
    return Totals(
        rows=count + len(transfers),
        gross=gross,
        commission=commission,
        refunds=refunds,
        net=gross - commission - refunds,
        transferred=sum(row.amount for row in transfers if row.kind == OWED),
        carried_in=position.carried_in,
        returned=position.returned,
        payable=position.payable,
        carried_out=position.carried_out,
    )


async def _pages(
    context: Context, batch: int, recipient: int, rows: ShareRows, text: Callable[[str], bytes]
) -> AsyncGenerator[list[tuple[int, bytes]], None]:
    """The pages that a recipient has records on, in order of time; their plans are made known.

    The next are fetched while these are told, so that neither waits for the other.
    """
    async with context.connection() as conn:
        plans = await settlement_store.report_plans(conn, batch, recipient)
        numbers = [plan.plan for plan in plans]
        blocks = await settlement_store.report_blocks(conn, batch, numbers, RECORDS_AT_ONCE)
    for plan in plans:
        services = [None if service is None else text(service) for service in plan.services]
        rows.add_plan(plan.plan, services, plan.recipients, plan.withheld_at)
    following = iter(blocks)
    fetching = _fetching(context, batch, numbers, next(following, None))
    try:
        while fetching is not None:
            pages = await fetching
            fetching = _fetching(context, batch, numbers, next(following, None))
            yield pages
    finally:
        if fetching is not None:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)


def _fetching(
    context: Context, batch: int, plans: list[int], blocks: tuple[int, int] | None
) -> asyncio.Task[list[tuple[int, bytes]]] | None:
    async def fetch(some: tuple[int, int]) -> list[tuple[int, bytes]]:
        async with context.connection() as conn:
            return await settlement_store.report_pages(conn, batch, plans, some)

    return None if blocks is None else asyncio.create_task(fetch(blocks))
