"""A recipient's report of a settlement batch: a row a share, adding up to its position."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from gateway.domain.ids import PAYMENT, SETTLEMENT_BATCH, shown
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.context import Context
from gateway.journal.db_transaction import reading
from gateway.parties import store as party_store
from gateway.settlement import store as settlement_store
from gateway.settlement.report_files import (
    ReportRow,
    ReportTotals,
    added,
    csv_head,
    csv_rows,
    json_head,
    json_rows,
    json_tail,
    share_commissions,
)
from gateway.settlement.store import BatchRow, PositionRow, ShareRow

FORMATS = ("csv", "json")
PAGE_ROWS = 1000


async def report(context: Context, batch: UUID, recipient: str, name: str) -> AsyncIterator[bytes]:
    """The report's bytes in chunks; refuses before the first of them.

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
    if row.payments is None:
        raise Refusal("state_conflict", "Expected a batch that is counted; close it again")
    position = next((p for p in positions if p.recipient == recipient), None)
    if position is None:
        raise Refusal("not_found", "Expected a recipient with a position in the batch")
    return _chunks(context, row, position, party[0], name)


async def _chunks(
    context: Context, batch: BatchRow, position: PositionRow, recipient: int, name: str
) -> AsyncIterator[bytes]:
    totals = ReportTotals()
    head = json_head(shown(SETTLEMENT_BATCH, batch.id), position.recipient)
    yield csv_head() if name == "csv" else head
    async with context.connection() as conn, reading(conn):
        async for rows in _pages(conn, batch.number, recipient):
            first = totals.rows == 0
            totals = added(totals, rows)
            yield csv_rows(rows) if name == "csv" else json_rows(rows, first)
    if (totals.gross, totals.net) != (position.gross, position.net):
        raise InvariantBroken("Expected a report whose rows add up to its position")
    if name == "json":
        yield json_tail(totals)


async def _pages(conn: Any, batch: int, recipient: int) -> AsyncIterator[list[ReportRow]]:
    """Report rows a page at a time, shares of one payment never on two pages."""
    page: list[ReportRow] = []
    together: list[ShareRow] = []
    async for row in settlement_store.report_rows(conn, batch, recipient):
        if together and (row.payment, row.refund) != (together[0].payment, together[0].refund):
            page += _report_rows(together)
            together = []
            if len(page) >= PAGE_ROWS:
                yield page
                page = []
        together.append(row)
    page += _report_rows(together)
    if page:
        yield page


def _report_rows(together: list[ShareRow]) -> list[ReportRow]:
    """Rows of one payment's (or refund's) shares, its commission laid on them to the kopeck."""
    if not together:
        return []
    is_refund = together[0].refund is not None
    withheld = [0] * len(together)
    if not is_refund:
        withheld = share_commissions(together[0].commission, [row.amount for row in together])
    return [
        ReportRow(
            accepted_at=row.at,
            subscriber_account=row.subscriber_account,
            service=row.service,
            period=row.period,
            gross_kopecks=row.amount,
            commission_kopecks=commission,
            net_kopecks=row.amount - commission,
            payment=shown(PAYMENT, row.payment),
            kind="refund" if is_refund else "payment",
        )
        for row, commission in zip(together, withheld, strict=True)
    ]
