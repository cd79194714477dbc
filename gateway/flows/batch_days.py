"""The business days of a batch: fixed at the cut, added up once it is counted, shown with it.

A row is in the batch that it was stamped with under the cut lock; its clock tells only which of the
batch's days it counts to. So a clock that is set back moves no money from one batch to another.
"""

from datetime import date, datetime, timedelta
from typing import Any

from gateway.calendar import BatchDays
from gateway.calendar import store as calendar_store
from gateway.domain.business_days import Due, cut_moment
from gateway.flows.context import Context
from gateway.settlement.store import BatchRow

_DAY = timedelta(days=1)


async def begin(
    context: Context, conn: Any, number: int, now: datetime, named: date | None, due: Due | None
) -> BatchDays:
    """The days of a batch that is being cut: of a cut-off, by a date that is named, or up to now.

    They go on where those of the batch before ended.
    """
    days = context.days
    if named is not None:
        return days.of_batch(named, named, None)
    last = days.day(now) if due is None else due.day
    before = await calendar_store.begun(conn, number)
    if before.due_at is not None and before.last_day is not None:
        # Unless that was an agreement's cut-off, and the centre's day went on after it.
        over = days.day(before.due_at) > before.last_day
        begun = before.last_day + _DAY if over else before.last_day
    else:
        moment = before.closed_at or before.first_payment
        begun = last if moment is None else days.day(moment)
    return days.of_batch(begun, last, None if due is None else due.moment)


async def count(context: Context, conn: Any, number: int) -> None:
    """Add a batch up by its days, in the transaction that counts it."""
    days = await calendar_store.find(conn, number)
    if days is not None:
        await calendar_store.count(conn, number, context.days.ends(days.first, days.last))


async def shown(conn: Any, number: int) -> dict[str, object]:
    """A batch's settlement date, the cut-off it was closed for, and its business days."""
    days = await calendar_store.find(conn, number)
    return {
        "settlement_date": None if days is None else days.settlement_date.isoformat(),
        "cut_off": None if days is None or days.due_at is None else days.due_at.isoformat(),
        "business_days": [
            {
                "business_day": row.business_day.isoformat(),
                "payments": row.payments,
                "amount": row.amount,
                "refunds": row.refunds,
                "refunded": row.refunded,
            }
            for row in await calendar_store.of_batch(conn, number)
        ],
    }


async def of_report(context: Context, conn: Any, row: BatchRow) -> dict[str, object]:
    """What a report tells of its batch's days: each but the last with the moment it is over at.

    A row counts to the first that is not over at its moment.
    """
    days = await calendar_store.find(conn, row.number)
    if days is None:
        return {"business_date": row.business_date.isoformat()}
    came = [day.business_day for day in await calendar_store.of_batch(conn, row.number)]
    ends = [cut_moment(day, context.days.cut_off).isoformat() for day in came[:-1]]
    return {
        "business_date": row.business_date.isoformat(),
        "settlement_date": days.settlement_date.isoformat(),
        "business_days": [
            {"business_day": day.isoformat(), "until": until}
            for day, until in zip(came, [*ends, None], strict=False)
        ],
    }
