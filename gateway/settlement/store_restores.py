"""SQL of restores: that the database was put back, what it has lost, and how that was settled."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct

RESTORE_LOCK = 7304
# A server that tells nobody what it is, as some that are rented.
UNTOLD = "untold"
# Six digits of an order's number hold nine more such leaps before numbers come round again; no
# centre makes as many orders between two backups.
_ORDERS_LEAPT = 99_900

_LOCK = "SELECT pg_advisory_xact_lock($1)"
_ADD = "INSERT INTO restores (id, found, detail, at, caller) VALUES ($1, $2, $3, $4, $5)"
_OPEN = """
    SELECT id, at FROM restores AS r
    WHERE NOT EXISTS (SELECT FROM lifted_restores AS l WHERE l.restore = r.id)
    ORDER BY at DESC, id DESC
"""
_LATEST = "SELECT id, at FROM restores ORDER BY at DESC, id DESC LIMIT 1"
_ALL = """
    SELECT r.id, r.found, r.detail, r.at, c.name AS said_by, l.approved_at AS lifted_at,
           a.name AS approved_by, q.name AS asked_by, f.reason, f.document
    FROM restores AS r
    LEFT JOIN callers AS c ON c.number = r.caller
    LEFT JOIN lifted_restores AS l ON l.restore = r.id
    LEFT JOIN restore_lifts AS f ON f.id = l.lift
    LEFT JOIN callers AS a ON a.number = l.approved_by
    LEFT JOIN callers AS q ON q.number = f.asked_by
    ORDER BY r.at DESC, r.id DESC LIMIT $1
"""
_LEAP = "SELECT setval('payment_order_numbers', nextval('payment_order_numbers') + $1)"

_SERVED_BY = """
    SELECT installation, system_identifier FROM served_by ORDER BY number DESC LIMIT 1
"""
_ADD_SERVED_BY = """
    INSERT INTO served_by (installation, system_identifier, at) VALUES ($1, $2, $3)
"""
_SERVER = "SELECT system_identifier::text FROM pg_control_system()"
_STATES = """
    SELECT id, state, approved_at IS NOT NULL AS approved
    FROM settlement_batches WHERE id = ANY ($1::uuid[])
"""

# A line is whose a person said last; one that came back goes the way of what it gives back. What
# only its account speaks for may be any bill of the centre's own, and is a person's to say.
_LINES = """
    SELECT l.statement, l.line, l.restore, l.came, l.amount, l.booked_on, l.payer, l.order_number,
           l.order_date, l.account, l.inn, l.bic, l.named, l.recipient AS suggested,
           CASE WHEN d.number IS NOT NULL THEN d.recipient
                WHEN e.number IS NOT NULL THEN e.recipient
                WHEN l.named IS NOT NULL THEN l.recipient
                WHEN f.named IS NOT NULL THEN f.recipient END AS recipient,
           l.of_statement, l.of_line, d.number IS NOT NULL OR e.number IS NOT NULL AS decided,
           d.reason, c.name AS decided_by, x.settlement_batch AS booked_in,
           EXISTS (SELECT FROM restored_lines AS r
                   WHERE r.of_statement = l.statement AND r.of_line = l.line) AS returned
    FROM restored_lines AS l
    LEFT JOIN LATERAL (SELECT * FROM restored_line_decisions AS s
                       WHERE s.statement = l.statement AND s.line = l.line
                       ORDER BY s.number DESC LIMIT 1) AS d ON true
    LEFT JOIN callers AS c ON c.number = d.caller
    LEFT JOIN restored_lines AS f ON f.statement = l.of_statement AND f.line = l.of_line
    LEFT JOIN LATERAL (SELECT * FROM restored_line_decisions AS s
                       WHERE s.statement = l.of_statement AND s.line = l.of_line
                       ORDER BY s.number DESC LIMIT 1) AS e ON true
    LEFT JOIN paid_before AS x ON x.statement = l.statement AND x.line = l.line
"""
_OPEN_LINES = (
    _LINES
    + """
    WHERE NOT EXISTS (SELECT FROM lifted_restores AS g WHERE g.restore = l.restore)
    ORDER BY l.statement, l.line
"""
)
_LATEST_LINES = _LINES + " ORDER BY l.statement DESC, l.line DESC LIMIT $1"
_OF_BATCH = (
    _LINES
    + """
    WHERE x.settlement_batch = $1 AND ($2::int IS NULL OR x.recipient = $2)
    ORDER BY l.statement, l.line
"""
)
_LINE = _LINES + " WHERE l.statement = $1 AND l.line = $2"
# What an earlier statement told, or what a return may give back.
_TOLD = _LINES + " WHERE l.booked_on = ANY ($1::date[]) OR NOT l.came AND l.amount = ANY ($2)"
_ADD_LINES = """
    INSERT INTO restored_lines (statement, line, restore, came, amount, booked_on, payer,
                                order_number, order_date, account, inn, bic, named, recipient,
                                of_statement, of_line)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
_DECIDE = """
    INSERT INTO restored_line_decisions (statement, line, recipient, reason, at, caller)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
_DECIDERS = """
    SELECT DISTINCT c.name FROM restored_line_decisions AS d
    JOIN callers AS c ON c.number = d.caller
    JOIN restored_lines AS l ON l.statement = d.statement AND l.line = d.line
    WHERE NOT EXISTS (SELECT FROM lifted_restores AS g WHERE g.restore = l.restore)
"""
_BOOK = """
    INSERT INTO paid_before (statement, line, recipient, amount, settlement_batch, at, caller)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
# Accounts that are, or were, a recipient's.
_ACCOUNTS = """
    SELECT DISTINCT account, recipient FROM (
        SELECT account, number AS recipient FROM recipients WHERE kind <> 'centre'
        UNION ALL SELECT account, recipient FROM payouts
        UNION ALL SELECT account, recipient FROM agreements) AS o
    WHERE account = ANY ($1::text[]) AND recipient IS NOT NULL
"""
_ASK = """
    INSERT INTO restore_lifts (id, restore, reason, document, seen, asked_at, asked_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_LIFT = """
    SELECT f.restore, f.reason, f.document, f.seen, c.name AS asked_by,
           EXISTS (SELECT FROM lifted_restores AS l WHERE l.lift = f.id) AS approved
    FROM restore_lifts AS f JOIN callers AS c ON c.number = f.asked_by WHERE f.id = $1
"""
_WAITING = """
    SELECT f.id, f.restore, f.reason, f.document, f.asked_at, c.name AS asked_by
    FROM restore_lifts AS f JOIN callers AS c ON c.number = f.asked_by
    WHERE NOT EXISTS (SELECT FROM lifted_restores AS l WHERE l.restore = f.restore)
    ORDER BY f.asked_at DESC, f.id
"""
_LIFTED = """
    INSERT INTO lifted_restores (restore, lift, approved_at, approved_by, settlement_batch)
    VALUES ($1, $2, $3, $4, $5)
"""
# Recipients whom a batch would pay, and whom something was paid that was booked only after it.
_PAID_SINCE = """
    SELECT EXISTS (
        SELECT FROM positions AS p
        JOIN paid_before AS b ON b.recipient = p.recipient
        WHERE p.settlement_batch = $1 AND p.payable > 0 AND b.amount < 0
          AND b.settlement_batch > $1)
"""
_STATEMENTS = """
    SELECT id, taken_at, first_day, last_day, line_count FROM bank_statements
    WHERE taken_at >= $1 ORDER BY id
"""


class Restore(Struct, frozen=True):
    """A restore that was noticed, and who lifted what it held; names are callers'."""

    id: UUID
    found: str
    detail: str
    at: datetime
    said_by: str | None
    lifted_at: datetime | None
    approved_by: str | None
    asked_by: str | None
    reason: str | None
    document: str | None


class LostLine(Struct, frozen=True):
    """A line of a statement about an order that the database has lost.

    `recipient` is the number of whose it is as things stand, None of nobody's; `decided` where a
    person has said so; `booked_in` the batch that it is booked in; `returned` where another line
    gives it back.
    """

    statement: UUID
    line: int
    restore: UUID
    came: bool
    amount: int
    booked_on: date
    payer: str
    order_number: str
    order_date: date | None
    account: str | None
    inn: str | None
    bic: str | None
    named: str | None
    suggested: int | None
    recipient: int | None
    of_statement: UUID | None
    of_line: int | None
    decided: bool = False
    reason: str | None = None
    decided_by: str | None = None
    booked_in: int | None = None
    returned: bool = False

    @property
    def owed(self) -> int:
        """What it does to what its recipient is owed, in kopecks: below 0 where it was paid."""
        return self.amount if self.came else -self.amount


class LiftRow(Struct, frozen=True):
    """A lift that was asked for."""

    restore: UUID
    reason: str
    document: str
    seen: bytes
    asked_by: str
    approved: bool


class WaitingLift(Struct, frozen=True):
    """A lift that waits for an approval."""

    id: UUID
    restore: UUID
    reason: str
    document: str
    asked_at: datetime
    asked_by: str


class StatementRow(Struct, frozen=True):
    """A statement that was taken, and the days of its lines."""

    id: UUID
    taken_at: datetime
    first_day: date | None
    last_day: date | None
    line_count: int


async def lock(conn: Any) -> None:
    """One at a time notices, decides or lifts until the commit."""
    await conn.execute(_LOCK, RESTORE_LOCK)


async def add(
    conn: Any, id_: UUID, found: str, detail: str, at: datetime, caller: int | None
) -> None:
    """Keep that the database was restored; orders get numbers that none before can have had."""
    await conn.execute(_ADD, id_, found, detail, at, caller)
    await conn.execute(_LEAP, _ORDERS_LEAPT)


async def unlifted(conn: Any) -> list[tuple[UUID, datetime]]:
    """Restores that hold settlement, the newest first, and since when."""
    return [tuple(row) for row in await conn.fetch(_OPEN)]


async def latest(conn: Any) -> tuple[UUID, datetime] | None:
    """The newest restore, lifted or not."""
    row = await conn.fetchrow(_LATEST)
    return None if row is None else tuple(row)


async def restores(conn: Any, count: int) -> list[Restore]:
    """Restores, the newest first."""
    return [Restore(*row.values()) for row in await conn.fetch(_ALL, count)]


async def served_by(conn: Any) -> tuple[UUID, str] | None:
    """The installation and the server that the database says it is on."""
    row = await conn.fetchrow(_SERVED_BY)
    return None if row is None else tuple(row)


async def add_served_by(conn: Any, installation: UUID, server: str, at: datetime) -> None:
    """Keep which server the database is on."""
    await conn.execute(_ADD_SERVED_BY, installation, server, at)


async def server(conn: Any) -> str:
    """The system identifier of the server, which its standbys share and no other has; UNTOLD where
    it is not to be asked.
    """
    try:
        found: str = await conn.fetchval(_SERVER)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedFunctionError):
        return UNTOLD
    return found


async def states(conn: Any, batches: Sequence[UUID]) -> dict[UUID, tuple[str, bool]]:
    """The state of each of these batches that is there, and whether it was approved."""
    rows = await conn.fetch(_STATES, batches)
    return {row["id"]: (row["state"], row["approved"]) for row in rows}


async def open_lines(conn: Any) -> list[LostLine]:
    """Lines that a lift would book."""
    return [LostLine(*row.values()) for row in await conn.fetch(_OPEN_LINES)]


async def latest_lines(conn: Any, count: int) -> list[LostLine]:
    """Lines of all restores, of the newest statement first."""
    return [LostLine(*row.values()) for row in await conn.fetch(_LATEST_LINES, count)]


async def booked_in(conn: Any, batch: int, recipient: int | None) -> list[LostLine]:
    """Lines that are booked in a batch, of one recipient (its number) or of all."""
    return [LostLine(*row.values()) for row in await conn.fetch(_OF_BATCH, batch, recipient)]


async def line(conn: Any, statement: UUID, number: int) -> LostLine | None:
    """One line."""
    row = await conn.fetchrow(_LINE, statement, number)
    return None if row is None else LostLine(*row.values())


async def told(conn: Any, days: Sequence[date], amounts: Sequence[int]) -> list[LostLine]:
    """Lines of these days, and lines that paid one of these sums."""
    return [LostLine(*row.values()) for row in await conn.fetch(_TOLD, days, amounts)]


async def add_lines(conn: Any, lines: Sequence[LostLine]) -> None:
    """Keep lines; those that are given back before those that give them back."""
    rows = [
        (
            *(one.statement, one.line, one.restore, one.came, one.amount, one.booked_on),
            *(one.payer, one.order_number, one.order_date, one.account, one.inn, one.bic),
            *(one.named, one.suggested, one.of_statement, one.of_line),
        )
        for one in sorted(lines, key=lambda one: one.came)
    ]
    await conn.executemany(_ADD_LINES, rows)


async def decide(
    conn: Any, one: LostLine, recipient: int | None, reason: str, at: datetime, caller: int
) -> None:
    """Keep whose a line is, as a person says."""
    await conn.execute(_DECIDE, one.statement, one.line, recipient, reason, at, caller)


async def deciders(conn: Any) -> set[str]:
    """Names of those who said whose a line is that is not booked yet."""
    return {row["name"] for row in await conn.fetch(_DECIDERS)}


async def book(conn: Any, lines: Sequence[LostLine], batch: int, at: datetime, caller: int) -> None:
    """Book what lines did to what their recipients are owed, in the open batch."""
    rows = [(one.statement, one.line, one.recipient, one.owed, batch, at, caller) for one in lines]
    await conn.executemany(_BOOK, rows)


async def accounts(conn: Any, told: Sequence[str]) -> dict[str, set[int]]:
    """Of these accounts, whose they are or were."""
    found: dict[str, set[int]] = {}
    for row in await conn.fetch(_ACCOUNTS, told):
        found.setdefault(row["account"], set()).add(row["recipient"])
    return found


async def ask(
    conn: Any,
    id_: UUID,
    restore: UUID,
    reason: str,
    document: str,
    seen: bytes,
    at: datetime,
    caller: int,
) -> None:
    """Keep that a lift is asked for by somebody who saw these lines."""
    await conn.execute(_ASK, id_, restore, reason, document, seen, at, caller)


async def lift(conn: Any, id_: UUID) -> LiftRow | None:
    """A lift that was asked for."""
    row = await conn.fetchrow(_LIFT, id_)
    return None if row is None else LiftRow(*row.values())


async def waiting(conn: Any) -> list[WaitingLift]:
    """Lifts that wait for an approval, the newest first."""
    return [WaitingLift(*row.values()) for row in await conn.fetch(_WAITING)]


async def approve_lift(
    conn: Any, lift: UUID, restores: Sequence[UUID], batch: int, at: datetime, caller: int
) -> None:
    """Let settlement go on after these restores."""
    for restore in restores:
        await conn.execute(_LIFTED, restore, lift, at, caller, batch)


async def paid_since(conn: Any, number: int) -> bool:
    """Whether a batch would pay a recipient whom a statement says to have been paid before, where
    that was booked only after the batch was cut.
    """
    found: bool = await conn.fetchval(_PAID_SINCE, number)
    return found


async def statements_since(conn: Any, at: datetime) -> list[StatementRow]:
    """Statements that were taken since a moment."""
    return [StatementRow(*row.values()) for row in await conn.fetch(_STATEMENTS, at)]
