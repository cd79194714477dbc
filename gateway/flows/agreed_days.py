"""Cut-offs that recipients' agreements have: when the machine closes, and whom a batch pays then.

A batch is closed at each of them for all rows there are, so that a row is in one batch whoever it
is shared among; money of those whose own cut-off has not come is carried on until it has.
"""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.agreements import store as agreement_store
from gateway.calendar import BatchDays, BusinessDays
from gateway.calendar import store as calendar_store
from gateway.calendar.store import PositionDaysRow
from gateway.domain.business_days import OTHERS, CutOff, Due, OwnDays, PositionDays
from gateway.flows import batch_days
from gateway.flows.context import Context
from gateway.settlement import store as settlement_store
from gateway.settlement.store import BatchRow


async def known(context: Context, conn: Any, now: datetime) -> list[BusinessDays]:
    """The business days that anybody's money goes by now: the centre's, and agreements' own."""
    own = await agreement_store.cut_offs(conn, now)
    return [context.days, *(context.days.by(cut_off) for cut_off in own)]


def last_due(days: list[BusinessDays], now: datetime) -> Due:
    """The last cut-off of all; of several at one moment the one that ends the earliest day."""
    dues = [one.last_due(now) for one in days]
    moment = max(due.moment for due in dues)
    return min((due for due in dues if due.moment == moment), key=lambda due: due.day)


async def of_batch(context: Context, conn: Any, number: int) -> PositionDays | None:
    """Whom a batch that is being counted pays, and which days that is of; None where it pays all
    by the centre's days alone.
    """
    row = await settlement_store.find_numbered(conn, number)
    dates = await calendar_store.find(conn, number)
    agreed = await agreement_store.own_cut_offs(conn, row.closed_at)
    if dates is None or not (agreed or await calendar_store.anything_held(conn, number - 1)):
        return None
    before = await calendar_store.begun(conn, number)
    moment = dates.due_at or row.closed_at
    settled_to = before.due_at or before.closed_at or before.first_payment
    # Where a clock was set back nothing has come due since the batch before: nobody is held up.
    is_back = before.closed_at is not None and settled_to is not None and settled_to >= moment
    by: list[tuple[int, UUID | None, BusinessDays]] = [(OTHERS, None, context.days)]
    by += [(who, version, context.days.by(cut_off)) for who, version, cut_off in agreed]
    own = []
    for who, version, days in by:
        due, following = days.last_due(moment), days.next_due(moment)
        first, last = _days(context, dates, days, settled_to or moment, moment)
        own.append(OwnDays(who, version, first, last, due.moment, following.moment))
    return PositionDays(moment, settled_to, dates.due_at is None or is_back, own)


def _days(
    context: Context, dates: BatchDays, own: BusinessDays, begun: datetime, moment: datetime
) -> tuple[date, date]:
    """The first and the last own day of what came from `begun` until a batch's moment."""
    if dates.due_at is None and context.days.day(moment) != dates.last:
        # A person named the day.
        return dates.last, dates.last
    due = own.last_due(moment)
    ends = due.moment == dates.due_at and begun < moment
    last = due.day if ends else own.day(max(begun, moment))
    found = own.of_batch(own.day(begun), last, None)
    return found.first, found.last


async def of_recipient(conn: Any, number: int, recipient: str) -> PositionDaysRow | None:
    """A recipient's own business days in a batch; None where they are the batch's."""
    rows = await calendar_store.of_positions(conn, number)
    return next((row for row in rows if row.recipient == recipient), None)


async def of_report(
    context: Context, conn: Any, row: BatchRow, recipient: str
) -> dict[str, object]:
    """What a recipient's report tells of its days: each but the last with the moment it is over at.

    A row counts to the first that is not over at its moment.
    """
    own = await of_recipient(conn, row.number, recipient)
    if own is None:
        return await batch_days.of_report(context, conn, row)
    days = context.days if own.cut_off is None else context.days.by(own.cut_off)
    told = days.ends(own.first_day, own.last_day)
    return {
        "business_date": own.last_day.isoformat(),
        "settlement_date": days.goes_out(own.last_day).isoformat(),
        "business_days": [
            {
                "business_day": day.isoformat(),
                "until": None if day == own.last_day else until.isoformat(),
            }
            for day, until in told
        ],
        "held_until": None if own.held_until is None else own.held_until.isoformat(),
    }


async def late_from(
    days: BusinessDays, conn: Any, now: datetime, first: datetime | None
) -> datetime | None:
    """From when the first money is late that is in no approved batch; None where there is none.

    `days` are the centre's. What a batch pays is late by the days of whom it pays, what it holds by
    those of whom it is held for. What no batch has counted yet is anybody's, so of it the earliest
    counts; `first` is when the first money was taken that nobody has approved.
    """

    def of(cut_off: CutOff | None) -> BusinessDays:
        return days if cut_off is None else days.by(cut_off)

    unpaid = await calendar_store.unpaid(conn)
    found = [of(cut_off).late_after(day) for cut_off, day in unpaid]
    for cut_off, until in await calendar_store.held_until(conn):
        # A cut-off is the first moment of the next day.
        found.append(of(cut_off).late_from(until - timedelta.resolution))
    if first is not None and not unpaid:
        agreed = await agreement_store.cut_offs(conn, now)
        found += [each.late_from(first) for each in (days, *map(days.by, agreed))]
    return min(found, default=None)


async def shown(conn: Any, number: int) -> list[dict[str, object]]:
    """Recipients' own business days in a batch, and until when their money is held."""
    return [
        {
            "recipient": row.recipient,
            "cut_off": None if row.cut_off is None else _clock(row.cut_off.minutes),
            "time_zone": None if row.cut_off is None else row.cut_off.zone,
            "first_day": row.first_day.isoformat(),
            "last_day": row.last_day.isoformat(),
            "since_day": row.since_day.isoformat(),
            "held_until": None if row.held_until is None else row.held_until.isoformat(),
        }
        for row in await calendar_store.of_positions(conn, number)
    ]


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
