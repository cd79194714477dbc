"""Payouts of an approved batch and the files for the bank, made once, the same for ever.

Every form is made at the approval, from the same orders, so that whichever the bank is given says
the same; the bank is given one of them.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.calendar import BatchDays
from gateway.calendar import store as calendar_store
from gateway.calendar.store import PositionDaysRow
from gateway.domain.ids import PAYOUT, SETTLEMENT_BATCH, derived_id, shown
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.flows.payees import Payees
from gateway.payouts import store as payout_store
from gateway.payouts.centre import party
from gateway.payouts.files import ed101, one_c, pain001
from gateway.payouts.files.order import Order, Party
from gateway.settlement import store as settlement_store
from gateway.settlement.store import BatchRow, PositionRow

FORMATS = ("1c", "ed101", "pain001")
_GROUP = "pi_"
FILES_S = 120


class Planned(Struct, frozen=True):
    """A payout before it is stored: its id, the recipient's number and id, and its order."""

    id: UUID
    number: int
    recipient: str
    order: Order


Payouts = Sequence[Planned]


async def number_orders(conn: Any, batch: int) -> None:
    """Give the positions of a counted batch the numbers of the orders that will pay them."""
    recipients = [recipient for recipient, _ in await settlement_store.payable(conn, batch)]
    numbers = await payout_store.order_numbers(conn, len(recipients))
    await settlement_store.number_orders(conn, batch, recipients, numbers)


async def plan_payouts(
    context: Context,
    conn: Any,
    batch: BatchRow,
    positions: Sequence[PositionRow],
    payees: Payees,
    at: datetime,
) -> Payouts:
    """One payout for each positive position, to the requisites that were read for it.

    The orders are dated a working day: today, or the next where the cut-off is past or nobody
    works.
    """
    day = context.days.order_date(at)
    days = await calendar_store.find(conn, batch.number)
    own = {row.recipient: row for row in await calendar_store.of_positions(conn, batch.number)}
    payouts = []
    for position in positions:
        if position.payable <= 0:
            continue
        number, recipient = payees.payees[position.recipient]
        if position.order_number is None:
            # Counted before positions had numbers.
            (order_number,) = await payout_store.order_numbers(conn, 1)
        else:
            order_number = position.order_number
        order = Order(
            number=order_number,
            date=day,
            amount_kopecks=position.payable,
            recipient=party(recipient),
            purpose=_purpose(batch, days, own.get(position.recipient)),
        )
        payout = derived_id(batch.id, position.recipient)
        payouts.append(Planned(payout, number, recipient.id, order))
    return payouts


async def store_payouts(
    context: Context,
    conn: Any,
    batch: BatchRow,
    payer: Party,
    payouts: Payouts,
    at: datetime,
) -> None:
    """Store payouts that were judged, and the files of them all.

    Files of ten thousand orders take seconds of processor time: payers of this worker do not wait
    for them, and the database does not take the transaction for one that nobody ends.
    """
    day = context.days.order_date(at)
    await payout_store.allow_pause(conn, FILES_S)
    files = await asyncio.to_thread(lambda: list(_files(context, batch, payer, payouts, day, at)))
    await settlement_store.set_payer(conn, batch.number, payer.account, payer.bic)
    if payouts:
        rows = [(one.id, one.number, one.order) for one in payouts]
        await payout_store.add(conn, batch.number, day, rows)
    for name, content in files:
        await payout_store.add_file(conn, batch.number, name, content, at)


def _files(
    context: Context, batch: BatchRow, payer: Party, payouts: Payouts, day: date, at: datetime
) -> Iterator[tuple[str, bytes]]:
    settings = context.settings
    local = at.astimezone(ZoneInfo(settings.timezone))
    orders = [one.order for one in payouts]
    yield "1c", one_c.write(payer, orders, local)
    author = settings.ed_author or ed101.author_of(payer.bic)
    yield "ed101", ed101.write(payer, orders, day, batch.number, author, settings.ed_receiver)
    message = (shown(SETTLEMENT_BATCH, batch.id), shown(_GROUP, batch.id))
    named = [(shown(PAYOUT, one.id), one.order) for one in payouts]
    yield "pain001", pain001.write(payer, named, local, message, settings.pain_version)


async def payout_file(context: Context, batch: UUID, name: str) -> bytes:
    """The bytes of a batch's payout file in a format.

    Refuses `not_found`, `malformed` for an unknown format, `state_conflict` before approval and
    once the batch is cancelled: the bank would pay what is owed again elsewhere.
    """
    if name not in FORMATS:
        raise Refusal("malformed", f"Expected a format of {', '.join(FORMATS)}")
    async with context.connection() as conn:
        row = await settlement_store.find(conn, batch)
        if row is None:
            raise Refusal("not_found", "Expected the id of a settlement batch")
        if row.state == "cancelled":
            raise Refusal("state_conflict", "Expected a batch to be paid, was cancelled")
        content = await payout_store.find_file(conn, row.number, name)
    if content is None and row.approved_at is not None:
        raise Refusal("state_conflict", "Expected a batch approved since this format is made")
    if content is None:
        raise Refusal("state_conflict", f"Expected an approved batch, was {row.state}")
    return content


def _purpose(batch: BatchRow, days: BatchDays | None, own: PositionDaysRow | None) -> str:
    """The days are the recipient's own where it has any, with those of what was held before."""
    if own is not None:
        first, last = own.since_day, own.last_day
    else:
        last = batch.business_date
        first = last if days is None else days.first
    period = _told(last) if first == last else f"{_told(first)}-{_told(last)}"
    day = _told(batch.business_date)
    report = shown(SETTLEMENT_BATCH, batch.id)
    return (
        f"Перечисление платежей населения за ЖКУ за {period}, реестр {batch.number} от {day}"
        f" ({report}). НДС не облагается"
    )


def _told(day: date) -> str:
    return day.strftime("%d.%m.%Y")
