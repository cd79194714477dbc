"""SQL of acquirer reports: what is known of the acquirer's payments, and what became of a file."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.acquirer_reports.policy import Policy
from gateway.acquirer_reports.rows import ReportFile, Row
from gateway.acquirer_reports.verdict import ONLINE_ONLY, Known, Verdict
from gateway.domain.bill import SUBSCRIBER_ACCOUNT

_LONG_S = 300.0

_ADD_REPORT = """
    INSERT INTO acquirer_reports
        (id, caller, format, digest, received_at, row_count, amount, transfer, fee, order_number,
         order_date, first_day, last_day)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO NOTHING
"""
_FORGET = "DELETE FROM report_discrepancies WHERE report = $1"
_FINISH = """
    UPDATE acquirer_reports SET matched = $2, created = $3, finished_at = $4 WHERE id = $1
"""
_BY_NUMBER = "SELECT * FROM known_by_number($1, $2, $3, $4)"
_BY_ACCOUNT = "SELECT * FROM known_by_account($1, $2, $3, $4, $5, $6, $7)"
_CLAIM = """
    INSERT INTO reported_payments (payment, report, row_number, subscriber_account)
    SELECT u.payment, $1, u.row_number, u.account
    FROM unnest($2::uuid[], $3::integer[], $4::text[]) AS u (payment, row_number, account)
    ORDER BY u.payment
    ON CONFLICT (payment, subscriber_account) DO NOTHING RETURNING 1
"""
_DISCREPANCY_COLUMNS = "(report, place, kind, payment, subscriber_account, operation, amount, code)"
_ADD_DISCREPANCIES = f"""
    INSERT INTO report_discrepancies {_DISCREPANCY_COLUMNS}
    SELECT $1, u.* FROM unnest($2::integer[], $3::text[], $4::uuid[], $5::text[], $6::text[],
                               $7::bigint[], $8::text[]) AS u
    ON CONFLICT (report, place) DO NOTHING
"""
_FORGET_ONLINE_ONLY = "DELETE FROM report_discrepancies WHERE report = $1 AND place < 0"
# Payments that a row made are none of those taken online; those that a row speaks of otherwise
# are told of there.
_ADD_ONLINE_ONLY = f"""
    INSERT INTO report_discrepancies {_DISCREPANCY_COLUMNS}
    SELECT $1, -row_number() OVER (ORDER BY p.id), '{ONLINE_ONLY}', p.id, p.subscriber_account,
           p.reference, p.total, NULL
    FROM payments AS p
    WHERE p.caller = $2 AND p.id >= $3
      AND coalesce(p.paid_at, p.accepted_at) >= $4 AND coalesce(p.paid_at, p.accepted_at) < $5
      AND p.facts ->> 'report' IS NULL
      AND NOT EXISTS (SELECT FROM reported_payments AS r
                      WHERE r.payment = p.id AND r.subscriber_account = p.subscriber_account)
      AND NOT EXISTS (SELECT FROM report_discrepancies AS d
                      WHERE d.payment = p.id AND d.kind <> '{ONLINE_ONLY}')
      AND p.amount > (SELECT coalesce(sum(f.amount), 0) FROM refunds AS f WHERE f.payment = p.id)
"""
# What only we knew is settled once another file of the acquirer's speaks of it.
_STANDING = f"""
    FROM report_discrepancies AS d
    WHERE d.report = $1 AND NOT (d.kind = '{ONLINE_ONLY}' AND d.payment IN (
        SELECT r.payment FROM reported_payments AS r
        JOIN report_discrepancies AS e
            ON e.payment = r.payment AND e.subscriber_account = r.subscriber_account
        WHERE e.report = $1 AND e.kind = '{ONLINE_ONLY}'))
"""
_DISCREPANCIES = f"""
    SELECT d.place, d.kind, d.payment, d.code {_STANDING}
    ORDER BY d.place < 0, abs(d.place) LIMIT $2
"""
_COUNT_DISCREPANCIES = f"SELECT count(*) {_STANDING}"
_DIGEST = "SELECT digest FROM acquirer_reports WHERE id = $1"
_REPORT = """
    SELECT id, caller, format, received_at, row_count, amount, matched, created, finished_at
    FROM acquirer_reports WHERE id = $1
"""
_WITH_BILL = """
    SELECT subscriber_account FROM open_bills
    WHERE subscriber_account = ANY ($1::text[]) AND bill > 0
"""
_POLICY = "SELECT report_only, unknown_account, online_only FROM report_policies WHERE caller = $1"
_ACQUIRER = "SELECT number FROM callers WHERE name = $1 AND role = 'acquirer'"
_SET_POLICY = """
    INSERT INTO report_policies
        (caller, report_only, unknown_account, online_only, set_at, set_by)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (caller) DO UPDATE
    SET report_only = excluded.report_only, unknown_account = excluded.unknown_account,
        online_only = excluded.online_only, set_at = excluded.set_at, set_by = excluded.set_by
"""


class SpokenOfMeanwhile(Exception):
    """Another report has claimed one of these payments since they were looked for."""


class Discrepancy(Struct, frozen=True, gc=False):
    """A row that does not agree, and why; `code` is that of the refusal that kept it out."""

    row: Row
    verdict: Verdict
    code: str | None = None


class Found(Struct, frozen=True, gc=False):
    """A discrepancy as it is stored; `place` is a row's number, below zero for none."""

    place: int
    kind: str
    payment: UUID | None
    code: str | None


async def add_report(conn: Any, report: UUID, caller: int, file: ReportFile, at: datetime) -> None:
    """Add a file whose totals hold; a file that is taken up again is there already, and what
    differed of it then is looked at anew.
    """
    await conn.execute(
        _ADD_REPORT,
        report,
        caller,
        file.format,
        file.digest,
        at,
        file.rows,
        file.amount,
        file.transfer,
        file.fee,
        file.order_number,
        file.order_date,
        file.first_day,
        file.last_day,
    )
    await conn.execute(_FORGET, report)


async def finish_report(conn: Any, report: UUID, counts: tuple[int, int], at: datetime) -> None:
    """Keep how many rows were matched and how many became payments."""
    await conn.execute(_FINISH, report, *counts, at)


async def known_by_number(conn: Any, caller: int, rows: Sequence[Row]) -> list[list[Known]]:
    """For each row the caller's payments with its operation's number."""
    found = await conn.fetch(
        _BY_NUMBER,
        caller,
        [row.operation for row in rows],
        [row.subscriber_account for row in rows],
        [row.amount for row in rows],
    )
    return _by_row(found, len(rows), by_number=True)


async def known_by_account(
    conn: Any,
    caller: int,
    rows: Sequence[Row],
    days: Sequence[tuple[datetime, datetime]],
    since: UUID,
    *,
    numbered: bool,
) -> list[list[Known]]:
    """For each row the caller's payments of its account and sum, paid between its two moments:
    those without a number, or all of them, with ids from `since` on.
    """
    found = await conn.fetch(
        _BY_ACCOUNT,
        caller,
        [row.subscriber_account for row in rows],
        [row.amount for row in rows],
        [first for first, _ in days],
        [last for _, last in days],
        numbered,
        since,
    )
    return _by_row(found, len(rows), by_number=False)


def _by_row(found: Sequence[Any], count: int, *, by_number: bool) -> list[list[Known]]:
    known: list[list[Known]] = [[] for _ in range(count)]
    for place, *rest in found:
        known[place - 1].append(Known(by_number, *rest))
    return known


async def claim_payments(conn: Any, report: UUID, claimed: Sequence[tuple[UUID, int, str]]) -> None:
    """Note which row speaks of each payment (payment, row, account); raises SpokenOfMeanwhile."""
    payments, rows, accounts = zip(*claimed, strict=True)
    made = await conn.fetch(_CLAIM, report, payments, rows, accounts)
    if len(made) < len(claimed):
        raise SpokenOfMeanwhile


async def add_discrepancies(conn: Any, report: UUID, found: Sequence[Discrepancy]) -> None:
    """Keep discrepancies of rows; those that are there already stay as they are.

    What is no account may be a name, and is not kept.
    """
    accounts = [one.row.subscriber_account for one in found]
    await conn.execute(
        _ADD_DISCREPANCIES,
        report,
        [one.row.number for one in found],
        [one.verdict.kind for one in found],
        [one.verdict.payment for one in found],
        [account if SUBSCRIBER_ACCOUNT.fullmatch(account) else None for account in accounts],
        [one.row.operation for one in found],
        [one.row.amount for one in found],
        [one.code for one in found],
    )


async def take_time(conn: Any) -> None:
    """Let this transaction read a long day; it holds up nobody."""
    await conn.execute("SET LOCAL statement_timeout = 0")


async def add_online_only(
    conn: Any,
    report: UUID,
    caller: int,
    since: UUID,
    paid: tuple[datetime, datetime],
) -> None:
    """Keep the caller's payments of these days, with ids from `since` on, that no report knows."""
    await conn.execute(_FORGET_ONLINE_ONLY, report)
    await conn.execute(_ADD_ONLINE_ONLY, report, caller, since, *paid, timeout=_LONG_S)


async def discrepancies(conn: Any, report: UUID, limit: int) -> tuple[int, list[Found]]:
    """How many still stand, and the first of them: rows in their order, then what has none."""
    count = await conn.fetchval(_COUNT_DISCREPANCIES, report)
    found = await conn.fetch(_DISCREPANCIES, report, limit) if count else []
    return count, [Found(*row) for row in found]


async def digest_of(conn: Any, report: UUID) -> bytes | None:
    """What stands for the text of a report's file."""
    digest: bytes | None = await conn.fetchval(_DIGEST, report)
    return digest


async def find_report(conn: Any, report: UUID) -> Any:
    """The stored report, or None."""
    return await conn.fetchrow(_REPORT, report)


async def with_bill(conn: Any, accounts: Sequence[str]) -> set[str]:
    """Those of the accounts that have an open bill."""
    return {row["subscriber_account"] for row in await conn.fetch(_WITH_BILL, accounts)}


async def policy_of(conn: Any, caller: int) -> Policy:
    """How this caller's files are read."""
    row = await conn.fetchrow(_POLICY, caller)
    return Policy() if row is None else Policy(*row)


async def acquirer(conn: Any, name: str) -> int | None:
    """The number of the acquirer of this name."""
    number: int | None = await conn.fetchval(_ACQUIRER, name)
    return number


async def set_policy(conn: Any, caller: int, policy: Policy, at: datetime, by: int) -> None:
    """Put a policy in force for a caller's next files."""
    await conn.execute(
        _SET_POLICY,
        caller,
        policy.report_only,
        policy.unknown_account,
        policy.online_only,
        at,
        by,
    )
