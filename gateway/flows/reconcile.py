"""Bringing lines, reports and payments together, and noting what is late.

Anybody may call it at any time: what was brought together stays so, by primary keys and a lock, and
what a crash has left out is found the next time.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from gateway.domain.ids import earliest, new_id
from gateway.flows.context import Context
from gateway.journal.db_transaction import writing
from gateway.reconciliation import store
from gateway.reconciliation.matching import Match, match_payments, match_reports, operations
from gateway.reconciliation.terms import ArrivalTerms
from gateway.steps import timed

# Fees of reports are looked at for so long after they came.
_FEES_FOR: Final = timedelta(days=35)


class Open(Struct, frozen=True):
    """What is open: how many discrepancies of each kind, the age in seconds of the oldest of
    each, and kopecks that reports tell of and that have not come.
    """

    counts: Mapping[str, int]
    ages: Mapping[str, float]
    not_arrived: int


@timed("reconciliation", "match")
async def match_all(context: Context) -> None:
    """Bring together what can be, acquirer by acquirer."""
    async with context.connection() as conn:
        for caller, terms in (await store.all_terms(conn)).items():
            if terms.comes != "own":
                async with writing(conn):
                    await store.hold(conn)
                    await _match(context, conn, caller, terms)


async def _match(context: Context, conn: Any, caller: int, terms: ArrivalTerms) -> None:
    now = context.clock.now()
    for is_fee in (False, True):
        lines = await store.open_lines(conn, caller, is_fee=is_fee)
        if not lines:
            continue
        found: list[Match]
        if terms.comes == "by_report" or is_fee:
            zone = context.settings.timezone
            reports = await store.open_reports(conn, caller, terms, zone, is_fee=is_fee)
            found = match_reports(lines, reports, terms)
        else:
            paid = await store.paid(conn, caller, operations(lines))
            found = match_payments(lines, paid, terms)
        for match in found:
            await store.add_arrival(conn, new_id(), caller, match, now, is_fee=is_fee)


@timed("reconciliation", "late")
async def note_late(context: Context) -> None:
    """Note what should have been reported, or should have come, by now; each payment is looked at
    once for either.
    """
    async with context.connection() as conn:
        for caller, terms in (await store.all_terms(conn)).items():
            if terms.comes == "own":
                continue
            more = True
            while more:
                async with writing(conn):
                    await store.hold(conn)
                    more = await _note(context, conn, caller, terms)


async def _note(context: Context, conn: Any, caller: int, terms: ArrivalTerms) -> bool:
    now = context.clock.now()
    reported, arrived = await store.marks(conn, caller)
    more = False
    if terms.comes == "by_report":
        due = now - timedelta(days=terms.report_days)
        until, more = await store.next_aged(conn, reported, earliest(due))
        await store.note_not_reported(conn, caller, reported, until, now)
        reported = until
    else:
        due = now - timedelta(days=terms.arrival_days)
        until, more = await store.next_aged(conn, arrived, earliest(due))
        await store.note_not_arrived(conn, caller, arrived, until, now)
        arrived = until
    await store.set_marks(conn, caller, reported, arrived)
    due = now - timedelta(days=terms.arrival_days)
    await store.note_reports(conn, caller, terms, due, now - _FEES_FOR, now)
    return more


async def standing(context: Context) -> Open:
    """What is open now."""
    now = context.clock.now()
    async with context.connection() as conn:
        found = await store.open_by_kind(conn)
        not_arrived = await store.not_arrived(conn)
    return Open(
        {kind: count for kind, (count, _) in found.items()},
        {kind: max(0.0, (now - since).total_seconds()) for kind, (_, since) in found.items()},
        not_arrived,
    )
