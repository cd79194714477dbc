"""SQL of corrections, chargebacks, their moves, and what recipients owe."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.domain.lots import Move

_MOVES = """
    SELECT id, entry, kind, sign, lot, at, subscriber_account AS account, sequence, counts_as,
           bill, plan, period, amount, commission, shares, commissions
    FROM moves WHERE payment = $1 ORDER BY number
"""
_ADD_MOVE = """
    INSERT INTO moves (id, entry, kind, sign, payment, lot, at, caller, settlement_batch,
                      subscriber_account, sequence, counts_as, bill, plan, period, terms_version,
                      amount, commission, shares, commissions, designation)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
            $20, $21)
"""
_ADD_CORRECTION = """
    INSERT INTO corrections (id, payment, at, caller, settlement_batch, subscriber_account, amount,
                             asked, reason, document)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_ADD_CHARGEBACK = """
    INSERT INTO chargebacks (id, payment, at, caller, settlement_batch, subscriber_account, amount,
                             suspended, acquirer, case_id, reason_code)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (acquirer, case_id) DO NOTHING
"""
_ADD_REVERSAL = """
    INSERT INTO chargeback_reversals (id, chargeback, payment, at, caller, settlement_batch,
                                      subscriber_account, amount, suspended, document)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_CHARGEBACK = """
    SELECT c.id, c.amount, c.suspended,
           coalesce((SELECT sum(r.amount) FROM chargeback_reversals AS r
                     WHERE r.chargeback = c.id), 0)::bigint AS reversed,
           array(SELECT r.id FROM chargeback_reversals AS r WHERE r.chargeback = c.id) AS reversals
    FROM chargebacks AS c WHERE c.payment = $1 AND c.id = $2
"""
_ENTRIES = """
    SELECT id, 'refund' AS kind, refunded_at AS at, amount, NULL AS reason, NULL AS document,
           NULL AS case_id, NULL AS reason_code, NULL::uuid AS chargeback
    FROM refunds WHERE payment = $1
    UNION ALL
    SELECT id, 'correction', at, amount, reason, document, NULL, NULL, NULL
    FROM corrections WHERE payment = $1
    UNION ALL
    SELECT id, 'chargeback', at, amount, NULL, NULL, case_id, reason_code, NULL
    FROM chargebacks WHERE payment = $1
    UNION ALL
    SELECT id, 'reversal', at, amount, NULL, document, NULL, NULL, chargeback
    FROM chargeback_reversals WHERE payment = $1
    ORDER BY at, id
"""
_ASKED = "SELECT id, asked FROM corrections WHERE payment = $1"
# Debts as the batch that was counted last left them, less what was settled since. One begins where
# none was carried in: nothing was, or money of the recipient's own that waited.
_OWED = """
    WITH last AS (SELECT max(number) AS number FROM settlement_batches WHERE state <> 'cut'),
    owing AS (
        SELECT p.recipient, -p.carried_out AS carried,
               coalesce((SELECT sum(s.amount) FROM debt_settlements AS s
                         WHERE s.recipient = p.recipient AND s.settlement_batch > last.number), 0)
                   ::bigint AS settled,
               (SELECT max(b.settlement_batch) FROM positions AS b
                WHERE b.recipient = p.recipient AND b.carried_out < 0
                  AND b.carried_in >= 0) AS since
        FROM last JOIN positions AS p ON p.settlement_batch = last.number AND p.carried_out < 0)
"""
_RECEIVABLES = (
    _OWED
    + """
    SELECT r.id AS recipient, r.kind, o.carried - o.settled AS amount, b.id AS since_batch,
           b.closed_at AS since,
           (SELECT count(*) FROM positions AS p
            WHERE p.recipient = o.recipient AND p.settlement_batch >= o.since
              AND p.carried_out < 0) AS batches,
           (SELECT max(-p.carried_out) FROM positions AS p
            WHERE p.recipient = o.recipient AND p.settlement_batch >= o.since) AS largest,
           (SELECT coalesce(sum(greatest(p.carried_out - p.carried_in - p.returned, 0)), 0)::bigint
            FROM positions AS p
            WHERE p.recipient = o.recipient AND p.settlement_batch > o.since) AS netted,
           (SELECT coalesce(sum(s.amount), 0)::bigint FROM debt_settlements AS s
            WHERE s.recipient = o.recipient AND s.settlement_batch > o.since
              AND s.kind = 'paid_in') AS paid_in,
           (SELECT coalesce(sum(s.amount), 0)::bigint FROM debt_settlements AS s
            WHERE s.recipient = o.recipient AND s.settlement_batch > o.since
              AND s.kind = 'written_off') AS written_off
    FROM owing AS o
    JOIN recipients AS r ON r.number = o.recipient
    JOIN settlement_batches AS b ON b.number = o.since
    WHERE o.carried > o.settled AND ($1::text IS NULL OR r.id = $1) ORDER BY r.id
"""
)
_DEBT_OF = _OWED + " SELECT carried - settled FROM owing WHERE recipient = $1"
_WAITING = """
    SELECT q.id, r.id AS recipient, q.kind, q.amount, q.reason, q.document, q.asked_at,
           c.name AS asked_by
    FROM debt_requests AS q
    JOIN recipients AS r ON r.number = q.recipient
    JOIN callers AS c ON c.number = q.asked_by
    WHERE NOT EXISTS (SELECT FROM debt_settlements AS s WHERE s.id = q.id)
      AND ($1::text IS NULL OR r.id = $1)
    ORDER BY q.id
"""
_ASK_DEBT = """
    INSERT INTO debt_requests (id, recipient, kind, amount, reason, document, asked_at, asked_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_LOCK_RECIPIENT = "SELECT number FROM recipients WHERE id = $1 FOR NO KEY UPDATE"
_DEBT_REQUEST = """
    SELECT q.recipient, r.id AS recipient_id, q.kind, q.amount, c.name AS asked_by,
           EXISTS (SELECT FROM debt_settlements AS s WHERE s.id = q.id) AS settled
    FROM debt_requests AS q
    JOIN recipients AS r ON r.number = q.recipient
    JOIN callers AS c ON c.number = q.asked_by
    WHERE q.id = $1
"""
_SETTLE_DEBT = """
    INSERT INTO debt_settlements (id, recipient, kind, amount, approved_at, approved_by,
                                  settlement_batch)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_UNCOUNTED = "SELECT EXISTS (SELECT FROM settlement_batches WHERE state = 'cut')"


class NewMove(Struct, frozen=True):
    """A move about to be added: what it is, with what is not told of it afterwards."""

    move: Move
    payment: UUID
    caller: int
    settlement_batch: int
    terms_version: int | None
    designation: str | None


class Chargeback(Struct, frozen=True):
    """A chargeback, whether the money was in suspense, and what was won back of it by what."""

    id: UUID
    amount: int
    suspended: bool
    reversed: int
    reversals: list[UUID]


class Entry(Struct, frozen=True):
    """Something that happened to a payment after it was accepted, in kopecks."""

    id: UUID
    kind: str
    at: datetime
    amount: int
    reason: str | None
    document: str | None
    case_id: str | None
    reason_code: str | None
    chargeback: UUID | None


class Receivable(Struct, frozen=True):
    """What a recipient owes, since which batch, and what became of the debt meanwhile (kopecks)."""

    recipient: str
    kind: str
    amount: int
    since_batch: UUID
    since: datetime
    batches: int
    largest: int
    netted: int
    paid_in: int
    written_off: int


class DebtRequest(Struct, frozen=True):
    """What somebody asked to be booked against a debt, and whether it was."""

    recipient: int
    recipient_id: str
    kind: str
    amount: int
    asked_by: str
    settled: bool


class WaitingRequest(Struct, frozen=True):
    """A request that nobody approved yet."""

    id: UUID
    recipient: str
    kind: str
    amount: int
    reason: str
    document: str
    asked_at: datetime
    asked_by: str


async def moves_of(conn: Any, payment: UUID) -> list[Move]:
    """Every move of a payment, in the order in which they happened."""
    return [Move(*row.values()) for row in await conn.fetch(_MOVES, payment)]


async def asked_of(conn: Any, payment: UUID) -> dict[UUID, str]:
    """What each correction of a payment was asked to move, as it is stored."""
    return {row["id"]: row["asked"] for row in await conn.fetch(_ASKED, payment)}


async def add_moves(conn: Any, moves: Sequence[NewMove]) -> None:
    """Add the moves of an entry, in their order."""
    for new in moves:
        move = new.move
        await conn.execute(
            _ADD_MOVE,
            move.id,
            move.entry,
            move.kind,
            move.sign,
            new.payment,
            move.lot,
            move.at,
            new.caller,
            new.settlement_batch,
            move.account,
            move.sequence,
            move.counts_as,
            move.bill,
            move.plan,
            move.period,
            new.terms_version,
            move.amount,
            move.commission,
            move.shares,
            move.commissions,
            new.designation,
        )


async def add_correction(conn: Any, *values: object) -> None:
    """Add a correction: the columns of `corrections` in their order."""
    await conn.execute(_ADD_CORRECTION, *values)


async def add_chargeback(conn: Any, *values: object) -> bool:
    """Add a chargeback: the columns of `chargebacks`; False where its case is known already."""
    done: str = await conn.execute(_ADD_CHARGEBACK, *values)
    return done.endswith(" 1")


async def add_reversal(conn: Any, *values: object) -> None:
    """Add a reversal: the columns of `chargeback_reversals` in their order."""
    await conn.execute(_ADD_REVERSAL, *values)


async def chargeback(conn: Any, payment: UUID, id_: UUID) -> Chargeback | None:
    """A chargeback of a payment that is locked."""
    row = await conn.fetchrow(_CHARGEBACK, payment, id_)
    return None if row is None else Chargeback(*row.values())


async def entries_of(conn: Any, payment: UUID) -> list[Entry]:
    """What happened to a payment after it was accepted, oldest first."""
    return [Entry(*row.values()) for row in await conn.fetch(_ENTRIES, payment)]


async def receivables(conn: Any, recipient: str | None) -> list[Receivable]:
    """Recipients that owe, by id; `recipient` asks for one alone."""
    return [Receivable(*row.values()) for row in await conn.fetch(_RECEIVABLES, recipient)]


async def waiting(conn: Any, recipient: str | None) -> list[WaitingRequest]:
    """Requests that nobody approved yet, oldest first."""
    return [WaitingRequest(*row.values()) for row in await conn.fetch(_WAITING, recipient)]


async def lock_recipient(conn: Any, recipient: str) -> int | None:
    """The recipient's number, nobody else settling its debt until the commit."""
    number: int | None = await conn.fetchval(_LOCK_RECIPIENT, recipient)
    return number


async def debt_of(conn: Any, recipient: int) -> int:
    """Kopecks that a recipient owes, as the last counted batch left it; 0 where none."""
    return int(await conn.fetchval(_DEBT_OF, recipient) or 0)


async def uncounted(conn: Any) -> bool:
    """Whether a batch was cut and is not counted yet."""
    found: bool = await conn.fetchval(_UNCOUNTED)
    return found


async def ask_debt(conn: Any, *values: object) -> None:
    """Keep a request: the columns of `debt_requests` in their order."""
    await conn.execute(_ASK_DEBT, *values)


async def debt_request(conn: Any, id_: UUID) -> DebtRequest | None:
    """A request by its id."""
    row = await conn.fetchrow(_DEBT_REQUEST, id_)
    return None if row is None else DebtRequest(*row.values())


async def settle_debt(conn: Any, *values: object) -> None:
    """Book what was approved: the columns of `debt_settlements` in their order."""
    await conn.execute(_SETTLE_DEBT, *values)
