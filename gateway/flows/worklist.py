"""The worklist of what does not agree, how one payment's money stands, and the four-way summary.

A discrepancy is resolved by two people: one says what became of it and by what document, another
confirms it. Every step is a row of its own.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from gateway.domain.ids import PAYMENT, PAYOUT, REPORT, STATEMENT, earliest, new_id, shown
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.flows.find_payments import may_see
from gateway.journal.db_transaction import reading
from gateway.journal.rows import Cut
from gateway.reconciliation import store
from gateway.reconciliation.store import Shown, Step
from gateway.reconciliation.terms import ArrivalTerms

STATES: Final = ("open", "proposed", "resolved", "settled")
SIDES: Final = ("acquirer", "bank", "centre", "recipient")
_ID: Final = re.compile(r"dis_(report|statement|line|arrival)_([0-9a-f]{32})_(-?[0-9]{1,9})")
_SLACK: Final = timedelta(days=1)


async def terms_of(context: Context, name: str) -> ArrivalTerms:
    """The terms in force for an acquirer; Refusal not_found, without any too."""
    async with context.connection() as conn:
        number = await store.acquirer(conn, name)
        found = None if number is None else await store.terms_of(conn, number)
    if found is None:
        raise Refusal("not_found", "Expected the name of an acquirer with arrival terms")
    return found


async def set_terms(context: Context, by: Caller, name: str, terms: ArrivalTerms) -> None:
    """Put terms in force; Refusals not_found, state_conflict."""
    terms.check()
    async with context.connection() as conn:
        number = await store.acquirer(conn, name)
        if number is None:
            raise Refusal("not_found", "Expected the name of an acquirer")
        if terms.comes == "by_report" and await store.comes_by_payment(conn, number):
            raise Refusal(
                "state_conflict", "Expected by_payment or own: its money has come by payment"
            )
        await store.set_terms(conn, number, terms, context.clock.now(), by.number)


async def arrival(context: Context, caller: Caller, payment: UUID) -> dict[str, object]:
    """How the money of a payment stands; Refusal not_found, for somebody else's too."""
    async with context.connection() as conn:
        row = await store.payment(conn, payment)
        if row is None or not may_see(caller, row["caller"]):
            raise Refusal("not_found", "Expected the id of a payment")
        standing = await store.of_payment(conn, payment, row["report"])
        lines = []
        if row["arrival"] is not None:
            lines = await store.arrival_lines(conn, row["arrival"])
    own = caller.role == "acquirer"
    return {
        "payment": shown(PAYMENT, payment),
        "arrival": _state(row, standing),
        "released": row["released"],
        "report": None if row["report"] is None else shown(REPORT, row["report"]),
        "lines": [
            {
                "statement": shown(STATEMENT, line["statement"]),
                "line": line["line"],
                "booked_on": line["booked_on"].isoformat(),
                "amount": line["amount"],
            }
            for line in lines
            # What is on the centre's account is not for others to see.
            if not own
        ],
        "discrepancies": [id_of(one) for one in standing],
    }


def _state(row: Any, standing: list[Shown]) -> str:
    if row["arrived"]:
        return "arrived"
    if standing:
        return "disputed"
    return "awaited" if row["report"] is None else "reported"


async def listed(
    context: Context,
    told: Mapping[str, str],
    older_than: timedelta | None,
    after: str | None,
    limit: int,
) -> dict[str, object]:
    """A page of the worklist, the oldest first; `told` are state, kind, side and acquirer."""
    now = context.clock.now()
    state = told.get("state", "open")
    states = None if state == "all" else [state]
    until = None if older_than is None else now - older_than
    async with context.connection() as conn:
        last = None if after is None else await _find(conn, after)
        found = await store.listed(conn, states, told, until, last, limit + 1)
    page = found[:limit]
    return {
        "discrepancies": [_shown(one, now) for one in page],
        "next_cursor": id_of(page[-1]) if len(found) > limit else None,
    }


async def show(context: Context, id_: str) -> dict[str, object]:
    """One discrepancy with what people did about it; Refusal not_found."""
    async with context.connection() as conn:
        return await _whole(context, conn, await _find(conn, id_))


async def resolve(context: Context, claim: Claim, caller: Caller, id_: str, told: Step) -> Answer:
    """Say what became of a discrepancy, and by what document; it stands once another confirms."""

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        await store.hold(conn)
        one = await _find(conn, id_)
        if one.state != "open":
            raise Refusal("state_conflict", f"Expected an open discrepancy, was {one.state}")
        step = replace(told, ordinal=one.steps + 1, at=context.clock.now())
        await store.add_step(conn, one, step, caller.number)
        return await _whole(context, conn, await _find(conn, id_))

    return await once(context, claim, new_id(), act)


async def decide(
    context: Context, claim: Claim, caller: Caller, id_: str, reason: str | None
) -> Answer:
    """Confirm what somebody else has said of a discrepancy, or with a reason reject it."""

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        await store.hold(conn)
        one = await _find(conn, id_)
        said = (await store.steps(conn, one))[-1:]
        if one.state != "proposed" or not said:
            raise Refusal("state_conflict", f"Expected a proposed resolution, was {one.state}")
        if said[0].by == caller.name:
            raise Refusal("forbidden", "Expected another person than the one who resolved it")
        step = Step(
            one.steps + 1,
            "confirm" if reason is None else "reject",
            said[0].outcome,
            *(None,) * 5,
            reason,
            context.clock.now(),
            "",
        )
        await store.add_step(conn, one, step, caller.number)
        return await _whole(context, conn, await _find(conn, id_))

    return await once(context, claim, new_id(), act)


async def day(context: Context, told: date | None, acquirer: str | None) -> dict[str, object]:
    """The four sides of a day's payments (today's where none is told) by acquirer, in kopecks,
    and what is between them.
    """
    zone = ZoneInfo(context.settings.timezone)
    business_day = told or context.clock.now().astimezone(zone).date()
    first = datetime.combine(business_day, time(), zone).astimezone(UTC)
    end = datetime.combine(business_day + timedelta(days=1), time(), zone).astimezone(UTC)
    async with context.connection() as conn, reading(conn):
        rows = await store.day(conn, earliest(first - _SLACK), first, end, acquirer)
    return {"day": business_day.isoformat(), "acquirers": rows}


def id_of(one: Shown) -> str:
    """The id of a discrepancy: what it is found in, and its place there."""
    return f"dis_{one.source}_{one.document.hex}_{one.place}"


async def _find(conn: Any, id_: str) -> Shown:
    match = _ID.fullmatch(id_)
    found = None
    if match is not None:
        found = await store.find(conn, match[1], UUID(hex=match[2]), int(match[3]))
    if found is None:
        raise Refusal("not_found", "Expected the id of a discrepancy")
    return found


async def _whole(context: Context, conn: Any, one: Shown) -> dict[str, object]:
    steps = [_step(step) for step in await store.steps(conn, one)]
    return {**_shown(one, context.clock.now()), "steps": steps}


def _shown(one: Shown, now: datetime) -> dict[str, object]:
    links = (
        ("payment", PAYMENT, one.payment),
        ("report", REPORT, one.report),
        ("statement", STATEMENT, one.statement),
        ("payout", PAYOUT, one.payout),
    )
    return {
        "id": id_of(one),
        "kind": one.kind,
        "side": one.side,
        "state": one.state,
        "outcome": one.outcome,
        "amount": one.amount,
        "since": one.since.isoformat(),
        "age_days": max(0, (now - one.since).days),
        "acquirer": one.acquirer,
        **{name: None if id_ is None else shown(prefix, id_) for name, prefix, id_ in links},
        "line": one.line,
    }


def _step(step: Step) -> dict[str, object]:
    evidence = None
    if step.step == "resolve":
        evidence = {
            "name": step.evidence_name,
            "number": step.evidence_number,
            "date": None if step.evidence_date is None else step.evidence_date.isoformat(),
            "sha256": step.evidence_sha256,
            "text": step.evidence_text,
        }
    return {
        "step": step.step,
        "outcome": step.outcome,
        "evidence": evidence,
        "reason": step.reason,
        "at": step.at.isoformat(),
        "by": step.by,
    }
