"""SQL of payouts, of the files that were made of them, and of what the bank said became of them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.domain.refusals import InvariantBroken
from gateway.payouts.files.order import Order
from gateway.payouts.matching import Known
from gateway.payouts.plausibility import Habit
from gateway.payouts.statements.lines import Statement

_NUMBERS = "SELECT nextval('payment_order_numbers') FROM generate_series(1, $1)"
_ADD = """
    INSERT INTO payouts (id, settlement_batch, recipient, state, amount, order_number, order_date,
                         name, inn, kpp, bic, account, correspondent_account, purpose)
    SELECT u.id, $1, u.recipient, 'approved', u.amount, u.order_number, $2, u.name, u.inn, u.kpp,
           u.bic, u.account, u.correspondent_account, u.purpose
    FROM unnest($3::uuid[], $4::int[], $5::bigint[], $6::int[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
         AS u (id, recipient, amount, order_number, name, inn, kpp, bic, account,
               correspondent_account, purpose)
"""
_ADD_FILE = """
    INSERT INTO payout_files (settlement_batch, format, made_at, content) VALUES ($1, $2, $3, $4)
"""
_PAUSE = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)"
_FILE = "SELECT content FROM payout_files WHERE settlement_batch = $1 AND format = $2"
_OF_BATCH = """
    SELECT p.id, r.id AS recipient, p.recipient AS number, p.amount, p.state, p.order_number,
           p.order_date
    FROM payouts AS p JOIN recipients AS r ON r.number = p.recipient
    WHERE p.settlement_batch = $1 ORDER BY r.id
"""
_MOVE = """
    UPDATE payouts AS p SET state = u.following
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (id, state, following)
    WHERE p.id = u.id AND p.state = u.state
"""
_ADD_EVENTS = """
    INSERT INTO payout_events (payout, event, at, caller, statement, line, booked_on)
    SELECT u.payout, u.event, $1, $2, $3, u.line, u.booked_on
    FROM unnest($4::uuid[], $5::text[], $6::int[], $7::date[]) AS u (payout, event, line, booked_on)
"""
_ADD_MOVING = """
    INSERT INTO moving_lines (payout, event, identity)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[])
"""
_MOVED_BY = """
    SELECT m.identity, array_agg(m.payout ORDER BY e.at, e.line) AS payouts
    FROM moving_lines AS m JOIN payout_events AS e USING (payout, event)
    WHERE m.identity = ANY ($1::bytea[]) GROUP BY m.identity
"""
_ADD_RETURNED = """
    INSERT INTO returned_money (from_batch, recipient, settlement_batch, amount, payout, at)
    SELECT u.from_batch, u.recipient, $1, u.amount, u.payout, $2
    FROM unnest($3::int[], $4::int[], $5::bigint[], $6::uuid[])
         AS u (from_batch, recipient, amount, payout)
"""
_LOCK_STATEMENTS = "SELECT pg_advisory_xact_lock($1)"
_ANSWER = "SELECT answer FROM bank_statements WHERE digest = $1"
_STATEMENT = "SELECT answer FROM bank_statements WHERE id = $1"
_LOCK_BATCHES = """
    SELECT number FROM settlement_batches WHERE number IN (
        SELECT settlement_batch FROM payouts
        WHERE order_number = ANY ($1::int[]) OR id = ANY ($2::uuid[]))
    ORDER BY number FOR UPDATE
"""
_KNOWN = """
    SELECT p.id, p.settlement_batch, b.id AS batch_id, p.recipient, r.id AS recipient_id, p.state,
           p.amount, p.order_number, p.order_date, p.account, p.inn, p.bic, b.payer_account,
           b.payer_bic, x.booked_on AS executed_on, y.booked_on AS returned_on,
           b.restored_at IS NOT NULL AS restored
    FROM payouts AS p
    JOIN settlement_batches AS b ON b.number = p.settlement_batch
    JOIN recipients AS r ON r.number = p.recipient
    LEFT JOIN payout_events AS x ON x.payout = p.id AND x.event = 'execute'
    LEFT JOIN payout_events AS y ON y.payout = p.id AND y.event = 'return'
    WHERE p.order_number = ANY ($1::int[]) OR p.id = ANY ($2::uuid[])
    ORDER BY p.order_date, p.order_number
"""
_STATES = """
    SELECT settlement_batch, array_agg(state) AS states FROM payouts
    WHERE settlement_batch = ANY ($1::int[]) GROUP BY settlement_batch ORDER BY settlement_batch
"""
_ADD_STATEMENT = """
    INSERT INTO bank_statements (id, format, digest, taken_at, taken_by, accounts, first_day,
                                 last_day, line_count, debits, credits, answer)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_ADD_LINES = """
    INSERT INTO statement_lines (statement, line, is_debit, amount, kind)
    SELECT $1, u.line, u.is_debit, u.amount, u.kind
    FROM unnest($2::int[], $3::boolean[], $4::bigint[], $5::text[])
         AS u (line, is_debit, amount, kind)
"""
_ADD_DISCREPANCIES = """
    INSERT INTO statement_discrepancies (statement, line, kind, payout, amount)
    SELECT $1, u.line, u.kind, u.payout, u.amount
    FROM unnest($2::int[], $3::text[], $4::uuid[], $5::bigint[]) AS u (line, kind, payout, amount)
"""
# What came back, or never went, says nothing of where a recipient is paid.
_HABITS = """
    SELECT r.id, count(*) AS payouts, max(p.amount) AS greatest,
           (array_agg(p.bic || ' ' || p.account ORDER BY p.settlement_batch DESC))[1] AS account
    FROM payouts AS p JOIN recipients AS r ON r.number = p.recipient
    WHERE p.settlement_batch < $1 AND p.state NOT IN ('cancelled', 'returned')
      AND p.settlement_batch >= coalesce((
          SELECT min(number) FROM (
              SELECT b.number FROM settlement_batches AS b
              WHERE b.number < $1 AND b.approved_at IS NOT NULL
              ORDER BY b.number DESC LIMIT $2) AS last), 0)
    GROUP BY r.id
"""
# Of those who were not paid for so long: all payouts are looked through.
_OLD_HABITS = """
    SELECT r.id, count(*) AS payouts, max(p.amount) AS greatest,
           (array_agg(p.bic || ' ' || p.account ORDER BY p.settlement_batch DESC))[1] AS account
    FROM payouts AS p JOIN recipients AS r ON r.number = p.recipient
    WHERE p.settlement_batch < $1 AND p.state NOT IN ('cancelled', 'returned')
      AND r.id = ANY ($2::text[])
    GROUP BY r.id
"""
HABITS_TIMEOUT_S = 60.0
STATEMENT_LOCK = 7303
_UNITS = 999
_THOUSANDS = 1000


class PayoutRow(Struct, frozen=True):
    """One payout of a batch; `number` is the recipient's."""

    id: UUID
    recipient: str
    number: int
    amount: int
    state: str
    order_number: int
    order_date: date


class Move(Struct, frozen=True):
    """One payout from state to state, by an event; line and day where a statement told of it."""

    payout: UUID
    event: str
    state: str
    following: str
    line: int | None = None
    booked_on: date | None = None
    identity: bytes | None = None


class Returned(Struct, frozen=True):
    """Kopecks that a batch did not bring to a recipient (its number), by a payout or none."""

    from_batch: int
    recipient: int
    amount: int
    payout: UUID | None


async def order_numbers(conn: Any, count: int) -> list[int]:
    """New payment order numbers: up to six digits, the last three never 000."""
    rows = await conn.fetch(_NUMBERS, count)
    return [
        (row["nextval"] - 1) // _UNITS % _THOUSANDS * _THOUSANDS + (row["nextval"] - 1) % _UNITS + 1
        for row in rows
    ]


async def of_batch(conn: Any, batch: int) -> list[PayoutRow]:
    """The payouts of a batch by recipient id."""
    return [PayoutRow(*row.values()) for row in await conn.fetch(_OF_BATCH, batch)]


async def habits(
    conn: Any, batch: int, batches: int, whom: Mapping[str, int], least: int
) -> dict[str, Habit]:
    """What recipients (ids) were paid in the last approved `batches` before this one; those of
    `whom` who are not among them, and are to have more than `least` kopecks, in all before.
    """
    rows = await conn.fetch(_HABITS, batch, batches, timeout=HABITS_TIMEOUT_S)
    found = {whose: Habit(*habit) for whose, *habit in rows}
    rare = [one for one, amount in whom.items() if amount > least and one not in found]
    if rare:
        rows = await conn.fetch(_OLD_HABITS, batch, rare, timeout=HABITS_TIMEOUT_S)
        found |= {whose: Habit(*habit) for whose, *habit in rows}
    return found


async def move(
    conn: Any, moves: Sequence[Move], at: datetime, caller: int, statement: UUID | None = None
) -> None:
    """Move payouts on, each from the state it was seen in; InvariantBroken where one was not.

    One may move twice, from where its first move led.
    """
    ways: dict[UUID, tuple[str, str]] = {}
    for one in moves:
        begun, _ = ways.get(one.payout, (one.state, one.state))
        ways[one.payout] = (begun, one.following)
    moved = await conn.execute(
        _MOVE,
        list(ways),
        [state for state, _ in ways.values()],
        [following for _, following in ways.values()],
    )
    if moved != f"UPDATE {len(ways)}":
        raise InvariantBroken(f"Expected {len(ways)} payouts in their states, was {moved}")
    await conn.execute(
        _ADD_EVENTS,
        at,
        caller,
        statement,
        [one.payout for one in moves],
        [one.event for one in moves],
        [one.line for one in moves],
        [one.booked_on for one in moves],
    )


async def add_moving(conn: Any, moves: Sequence[Move]) -> None:
    """Keep by what the lines that moved payouts are known again."""
    told = [one for one in moves if one.identity is not None]
    await conn.execute(
        _ADD_MOVING,
        [one.payout for one in told],
        [one.event for one in told],
        [one.identity for one in told],
    )


async def moved_by(conn: Any, identities: Sequence[bytes]) -> dict[bytes, list[UUID]]:
    """Payouts that such lines moved before, by the lines' identities."""
    rows = await conn.fetch(_MOVED_BY, identities)
    return {row["identity"]: row["payouts"] for row in rows}


async def add_returned(conn: Any, batch: int, returned: Sequence[Returned], at: datetime) -> None:
    """Owe money to its recipients again, in the open batch."""
    await conn.execute(
        _ADD_RETURNED,
        batch,
        at,
        [one.from_batch for one in returned],
        [one.recipient for one in returned],
        [one.amount for one in returned],
        [one.payout for one in returned],
    )


async def hold_statements(conn: Any) -> None:
    """One statement at a time until the commit."""
    await conn.execute(_LOCK_STATEMENTS, STATEMENT_LOCK)


async def answer_to(conn: Any, digest: bytes) -> bytes | None:
    """What the same statement was answered before."""
    answer: bytes | None = await conn.fetchval(_ANSWER, digest)
    return answer


async def find_statement(conn: Any, statement: UUID) -> bytes | None:
    """What a statement was answered, by its id."""
    answer: bytes | None = await conn.fetchval(_STATEMENT, statement)
    return answer


async def known(conn: Any, numbers: Sequence[int], ids: Sequence[UUID]) -> list[Known]:
    """Payouts with these order numbers or ids, oldest first, their batches locked."""
    await conn.fetch(_LOCK_BATCHES, numbers, ids)
    return [Known(*row.values()) for row in await conn.fetch(_KNOWN, numbers, ids)]


async def states(conn: Any, batches: Sequence[int]) -> dict[int, list[str]]:
    """The states of all payouts of these batches."""
    rows = await conn.fetch(_STATES, batches)
    return {row["settlement_batch"]: row["states"] for row in rows}


async def add_statement(
    conn: Any,
    id_: UUID,
    digest: bytes,
    statement: Statement,
    answer: bytes,
    at: datetime,
    caller: int,
) -> None:
    """Keep that a statement was taken, with what it was answered."""
    days = [line.booked_on for line in statement.lines]
    await conn.execute(
        _ADD_STATEMENT,
        id_,
        statement.format,
        digest,
        at,
        caller,
        list(statement.accounts),
        min(days, default=None),
        max(days, default=None),
        len(statement.lines),
        statement.debits,
        statement.credits,
        answer,
    )


async def add_lines(
    conn: Any, statement: UUID, lines: Sequence[tuple[int, bool, int, str]]
) -> None:
    """Keep every line of a statement (number, whether it left us, kopecks, what it was found to
    be), so that none can go unseen.
    """
    columns = [[one[at] for one in lines] for at in range(4)]
    await conn.execute(_ADD_LINES, statement, *columns)


async def add_discrepancies(
    conn: Any, statement: UUID, found: Sequence[tuple[int, str, UUID | None, int]]
) -> None:
    """Keep lines (number, kind, payout, kopecks) that agree with no payout."""
    columns = [[one[at] for one in found] for at in range(4)]
    await conn.execute(_ADD_DISCREPANCIES, statement, *columns)


async def add(conn: Any, batch: int, day: date, payouts: Sequence[tuple[UUID, int, Order]]) -> None:
    """Store payouts: (id, recipient number, order) with the requisites as they stand now."""
    parties = [order.recipient for _, _, order in payouts]
    await conn.execute(
        _ADD,
        batch,
        day,
        [payout for payout, _, _ in payouts],
        [recipient for _, recipient, _ in payouts],
        [order.amount_kopecks for _, _, order in payouts],
        [order.number for _, _, order in payouts],
        [party.name for party in parties],
        [party.inn for party in parties],
        [party.kpp for party in parties],
        [party.bic for party in parties],
        [party.account for party in parties],
        [party.correspondent for party in parties],
        [order.purpose for _, _, order in payouts],
    )


async def allow_pause(conn: Any, seconds: int) -> None:
    """Let this transaction wait for the gateway for so long."""
    await conn.execute(_PAUSE, f"{seconds}s")


async def add_file(conn: Any, batch: int, name: str, content: bytes, at: datetime) -> None:
    """Keep a payout file; these bytes never change."""
    await conn.execute(_ADD_FILE, batch, name, at, content)


async def find_file(conn: Any, batch: int, name: str) -> bytes | None:
    """The bytes of a payout file."""
    content: bytes | None = await conn.fetchval(_FILE, batch, name)
    return content
