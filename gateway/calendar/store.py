"""SQL of the business days of batches."""

from datetime import date, datetime, time
from typing import Any

from msgspec import Struct

from gateway.calendar.days import BatchDays
from gateway.domain.business_days import CutOff, cut_off_at

_ADD = """
    INSERT INTO batch_dates (settlement_batch, first_day, last_day, settlement_date, due_at)
    VALUES ($1, $2, $3, $4, $5)
"""
_FIND = """
    SELECT first_day, last_day, settlement_date, due_at FROM batch_dates
    WHERE settlement_batch = $1
"""
# Ids are made in the order of time.
_BEGUN = """
    SELECT b.closed_at, d.last_day, d.due_at,
           CASE WHEN b.number IS NULL
                THEN (SELECT accepted_at FROM payments ORDER BY id LIMIT 1) END AS first_payment
    FROM (SELECT) AS nothing LEFT JOIN settlement_batches AS b ON b.number = $1 - 1
    LEFT JOIN batch_dates AS d ON d.settlement_batch = b.number
"""
_CLOSED_SINCE = """
    SELECT EXISTS (
        SELECT FROM batch_reach
        WHERE settlement_batch = (SELECT settlement_batch - 1 FROM cut)
          AND moment BETWEEN $1 AND $2)
"""
_TAKEN = "SELECT EXISTS (SELECT 1 FROM payments)"
_COUNT_ONE = """
    INSERT INTO batch_days (settlement_batch, business_day, payments, amount, refunds, refunded)
    SELECT b.number, $2, b.payments,
           (SELECT coalesce(sum(gross), 0) FROM positions WHERE settlement_batch = $1)
           - (SELECT coalesce(sum(amount), 0) FROM moves WHERE settlement_batch = $1 AND sign > 0),
           b.refunds,
           (SELECT coalesce(sum(amount), 0) FROM refunds WHERE settlement_batch = $1)
    FROM settlement_batches AS b WHERE b.number = $1 AND (b.payments > 0 OR b.refunds > 0)
"""
# A row is in the batch that it is stamped with, whatever a clock said: one from before the first
# day, or after the last, counts to that.
_COUNT = """
    INSERT INTO batch_days (settlement_batch, business_day, payments, amount, refunds, refunded)
    SELECT $1, ($2::date[])[1 + width_bucket(at, $3::timestamptz[])], sum(payments), sum(amount),
           sum(refunds), sum(refunded)
    FROM (SELECT at, 1 AS payments, amount, 0 AS refunds, 0 AS refunded FROM allocations
          WHERE settlement_batch = $1
          UNION ALL
          SELECT refunded_at, 0, 0, 1, amount FROM refunds WHERE settlement_batch = $1) AS moved
    GROUP BY 2
"""
_DAYS = """
    SELECT business_day, payments, amount, refunds, refunded FROM batch_days
    WHERE settlement_batch = $1 ORDER BY business_day
"""
_HELD = """
    SELECT EXISTS (SELECT FROM position_days
                   WHERE settlement_batch = $1 AND held_until IS NOT NULL)
"""
_OF_POSITIONS = """
    SELECT r.id AS recipient, a.cut_off, a.time_zone, d.first_day, d.last_day, d.since_day,
           d.held_until
    FROM position_days AS d JOIN recipients AS r ON r.number = d.recipient
    LEFT JOIN agreements AS a ON a.id = d.agreement
    WHERE d.settlement_batch = $1 ORDER BY r.id
"""
# What batches that nobody has approved pay, by whose days: the first of the days.
_UNPAID = """
    SELECT a.cut_off, a.time_zone, min(d.last_day) AS day
    FROM settlement_batches AS b
    JOIN position_days AS d ON d.settlement_batch = b.number
    JOIN positions AS p ON p.settlement_batch = b.number AND p.recipient = d.recipient
    LEFT JOIN agreements AS a ON a.id = d.agreement
    WHERE b.state = 'closed' AND p.payable > 0 GROUP BY 1, 2
"""
# What the newest counted batch holds, by whose days: the first moment that it is held until.
_HELD_UNTIL = """
    SELECT a.cut_off, a.time_zone, min(d.held_until) AS moment
    FROM position_days AS d
    JOIN positions AS p USING (settlement_batch, recipient)
    LEFT JOIN agreements AS a ON a.id = d.agreement
    WHERE d.settlement_batch = (SELECT max(number) FROM settlement_batches WHERE state <> 'cut')
      AND d.held_until IS NOT NULL AND p.carried_out > 0 GROUP BY 1, 2
"""
COUNT_TIMEOUT_S = 600.0


class Begun(Struct, frozen=True):
    """What a batch began after: the close before it, or the first payment of all.

    `last_day` and `due_at` are of the batch before, None where it has none or there is none.
    """

    closed_at: datetime | None
    last_day: date | None
    due_at: datetime | None
    first_payment: datetime | None


class DayRow(Struct, frozen=True):
    """What a batch has of one business day, in kopecks."""

    business_day: date
    payments: int
    amount: int
    refunds: int
    refunded: int


class PositionDaysRow(Struct, frozen=True):
    """The business days of a recipient's position; `since_day` is the first of all that it has.

    `cut_off` is its agreement's, None where it goes by the centre's. Its money is held until
    `held_until`, where that is told.
    """

    recipient: str
    cut_off: CutOff | None
    first_day: date
    last_day: date
    since_day: date
    held_until: datetime | None


async def add(conn: Any, number: int, days: BatchDays) -> None:
    """Keep the days of a batch that was just cut."""
    await conn.execute(_ADD, number, days.first, days.last, days.settlement_date, days.due_at)


async def find(conn: Any, number: int) -> BatchDays | None:
    """The days of a batch; None where it was closed before there were any."""
    row = await conn.fetchrow(_FIND, number)
    return None if row is None else BatchDays(*row.values())


async def begun(conn: Any, number: int) -> Begun:
    """What this batch began after."""
    return Begun(*(await conn.fetchrow(_BEGUN, number)).values())


async def closed_since(conn: Any, since: datetime, now: datetime) -> bool:
    """Whether the batch before the open one settled up to a moment between these."""
    found: bool = await conn.fetchval(_CLOSED_SINCE, since, now)
    return found


async def anything_taken(conn: Any) -> bool:
    """Whether there was ever a payment."""
    found: bool = await conn.fetchval(_TAKEN)
    return found


async def count(conn: Any, number: int, ends: list[tuple[date, datetime]]) -> None:
    """Add a counted batch's rows up by its business days, of which each has its end."""
    if len(ends) == 1:
        await conn.execute(_COUNT_ONE, number, ends[0][0], timeout=COUNT_TIMEOUT_S)
        return
    days = [day for day, _ in ends]
    moments = [moment for _, moment in ends[:-1]]
    await conn.execute(_COUNT, number, days, moments, timeout=COUNT_TIMEOUT_S)


async def of_batch(conn: Any, number: int) -> list[DayRow]:
    """The business days of a batch on which anything came, in their order."""
    return [DayRow(*row.values()) for row in await conn.fetch(_DAYS, number)]


async def anything_held(conn: Any, number: int) -> bool:
    """Whether a counted batch holds anybody's money until another cut-off."""
    found: bool = await conn.fetchval(_HELD, number)
    return found


async def unpaid(conn: Any) -> list[tuple[CutOff | None, date]]:
    """By whose days (None: the centre's) batches are to be paid that nobody approved yet: the first
    day that is, of batches in which recipients have days of their own.
    """
    return [(_own(cut_off, zone), day) for cut_off, zone, day in await conn.fetch(_UNPAID)]


async def held_until(conn: Any) -> list[tuple[CutOff | None, datetime]]:
    """Until when money is held, by whose days; the first moment of each."""
    return [(_own(cut_off, zone), at) for cut_off, zone, at in await conn.fetch(_HELD_UNTIL)]


async def of_positions(conn: Any, number: int) -> list[PositionDaysRow]:
    """Recipients' own business days in a batch, by their ids; none where the batch's are all's."""
    return [
        PositionDaysRow(recipient, _own(cut_off, zone), *days)
        for recipient, cut_off, zone, *days in await conn.fetch(_OF_POSITIONS, number)
    ]


def _own(cut_off: time | None, zone: str | None) -> CutOff | None:
    if cut_off is None or zone is None:
        return None
    return cut_off_at(cut_off.hour, cut_off.minute, zone)
