"""SQL of obligations: loaded, withdrawn, and what closed batches transferred on them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from gateway.domain.refusals import InvariantBroken
from gateway.obligations.covering import Debt, Transfer

# The number comes by the order of the rows, as the documents were told.
# Arrays of arrays would have to be of one length, so services come as JSON.
_ADD = """
    INSERT INTO obligations (id, debtor, creditor, services, amount, document_number,
                             document_date, settlement_batch, loaded_at, loaded_by)
    SELECT u.id, u.debtor, u.creditor,
           ARRAY(SELECT s.name FROM jsonb_array_elements_text(u.services::jsonb)
                     WITH ORDINALITY AS s (name, place) ORDER BY s.place),
           u.amount, u.document_number, u.document_date, $8, $9, $10
    FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::bigint[], $6::text[], $7::date[])
        WITH ORDINALITY AS u (id, debtor, creditor, services, amount, document_number,
                              document_date, place)
    ORDER BY u.place
    ON CONFLICT (debtor, creditor, document_number, document_date) DO NOTHING
    RETURNING id, number, debtor, amount
"""
_OPEN = """
    INSERT INTO open_obligations (obligation, debtor, remaining)
    SELECT * FROM unnest($1::int[], $2::int[], $3::bigint[])
"""
_DOCUMENTS = """
    SELECT u.place, d.id, d.amount, d.services
    FROM unnest($1::int[], $2::int[], $3::text[], $4::date[])
        WITH ORDINALITY AS u (debtor, creditor, document_number, document_date, place)
    JOIN obligations AS d USING (debtor, creditor, document_number, document_date)
"""
_DEBTORS = """
    SELECT DISTINCT o.debtor
    FROM open_obligations AS o JOIN obligations AS d ON d.number = o.obligation
    WHERE d.settlement_batch <= $1
"""
_DEBTS = """
    SELECT d.debtor, d.number, d.creditor, d.services, o.remaining
    FROM open_obligations AS o JOIN obligations AS d ON d.number = o.obligation
    WHERE d.settlement_batch <= $1 AND d.debtor = ANY ($2::int[])
    ORDER BY d.debtor, d.document_date, d.number
    FOR UPDATE OF o
"""
_ADD_TRANSFERS = """
    INSERT INTO obligation_transfers (id, settlement_batch, obligation, debtor, creditor, service,
                                      amount)
    SELECT u.id, $1, u.obligation, d.debtor, d.creditor, u.service, u.amount
    FROM unnest($2::uuid[], $3::int[], $4::text[], $5::bigint[])
        AS u (id, obligation, service, amount)
    JOIN obligations AS d ON d.number = u.obligation
"""
_PAY = """
    UPDATE open_obligations AS o SET remaining = remaining - u.amount
    FROM (SELECT obligation, sum(amount)::bigint AS amount
          FROM unnest($1::int[], $2::bigint[]) AS u (obligation, amount) GROUP BY obligation) AS u
    WHERE o.obligation = u.obligation
"""
_CLOSE_PAID = "DELETE FROM open_obligations WHERE remaining = 0 AND obligation = ANY ($1::int[])"
_ROWS = """
    SELECT d.number, d.id, w.id AS debtor, c.id AS creditor, d.services, d.amount,
           d.document_number, d.document_date, d.loaded_at, l.name AS loaded_by,
           coalesce((SELECT sum(t.amount) FROM obligation_transfers AS t
                     WHERE t.obligation = d.number), 0)::bigint AS transferred,
           coalesce((SELECT sum(r.amount) FROM obligation_reductions AS r
                     WHERE r.obligation = d.number), 0)::bigint AS withdrawn,
           coalesce(o.remaining, 0) AS remaining
    FROM obligations AS d
    JOIN recipients AS w ON w.number = d.debtor
    JOIN recipients AS c ON c.number = d.creditor
    JOIN callers AS l ON l.number = d.loaded_by
    LEFT JOIN open_obligations AS o ON o.obligation = d.number
"""
_FIND = _ROWS + " WHERE d.id = $1"
_FIND_SEVERAL = _ROWS + " WHERE d.number = ANY ($1::int[]) ORDER BY d.number"
# Whose and which: null for all.
_PAGE = (
    _ROWS
    + """
    WHERE d.number > $1 AND ($2::int IS NULL OR d.debtor = $2 OR d.creditor = $2)
      AND ($3::boolean IS NULL OR (o.obligation IS NOT NULL) = $3)
    ORDER BY d.number LIMIT $4
"""
)
_TRANSFERS_OF_BATCH = """
    SELECT t.id, d.id AS obligation, w.id AS debtor, c.id AS creditor, t.service, t.amount,
           d.document_number, d.document_date
    FROM obligation_transfers AS t
    JOIN obligations AS d ON d.number = t.obligation
    JOIN recipients AS w ON w.number = t.debtor
    JOIN recipients AS c ON c.number = t.creditor
    WHERE t.settlement_batch = $1 AND ($2::int IS NULL OR t.debtor = $2 OR t.creditor = $2)
    ORDER BY w.id, d.document_date, d.number, t.service COLLATE "C"
"""
_TRANSFERS_OF_ONE = """
    SELECT b.id AS settlement_batch, b.business_date, t.id, t.service, t.amount
    FROM obligation_transfers AS t
    JOIN obligations AS d ON d.number = t.obligation
    JOIN settlement_batches AS b ON b.number = t.settlement_batch
    WHERE d.id = $1 ORDER BY b.number DESC, t.service COLLATE "C" LIMIT $2
"""
_WITHDRAWALS = """
    SELECT w.id, w.amount AS asked, w.reason, w.asked_at, a.name AS asked_by, r.amount,
           r.approved_at, p.name AS approved_by
    FROM obligation_withdrawals AS w
    JOIN obligations AS d ON d.number = w.obligation
    JOIN callers AS a ON a.number = w.asked_by
    LEFT JOIN obligation_reductions AS r ON r.id = w.id
    LEFT JOIN callers AS p ON p.number = r.approved_by
    WHERE d.id = $1 ORDER BY w.id DESC LIMIT $2
"""
# A batch that was cancelled before its approval pays in the one that owes its money again.
_LOADERS = """
    WITH RECURSIVE paid AS (
        SELECT $1::int AS batch
        UNION
        SELECT m.from_batch FROM returned_money AS m
        JOIN paid AS p ON m.settlement_batch = p.batch WHERE m.payout IS NULL)
    SELECT DISTINCT c.name
    FROM paid AS p
    JOIN obligation_transfers AS t ON t.settlement_batch = p.batch
    JOIN obligations AS d ON d.number = t.obligation
    JOIN callers AS c ON c.number = d.loaded_by
"""
_NUMBER = "SELECT number FROM obligations WHERE id = $1"
_LOCK_OPEN = "SELECT remaining FROM open_obligations WHERE obligation = $1 FOR UPDATE"
_ASK = """
    INSERT INTO obligation_withdrawals (id, obligation, amount, reason, asked_at, asked_by)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
_ASKED = """
    SELECT w.id, w.obligation, d.id AS obligation_id, w.amount, w.reason, w.asked_by,
           a.name AS asked_by_name,
           EXISTS (SELECT FROM obligation_reductions AS r WHERE r.id = w.id) AS approved
    FROM obligation_withdrawals AS w
    JOIN obligations AS d ON d.number = w.obligation
    JOIN callers AS a ON a.number = w.asked_by
    WHERE w.id = $1
"""
_REDUCE = """
    INSERT INTO obligation_reductions (id, obligation, settlement_batch, amount, reason, asked_by,
                                       approved_at, approved_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


class NewObligation(Struct, frozen=True):
    """A debt as it is loaded, recipients by id; no services are all of them; kopecks."""

    debtor: str
    creditor: str
    services: tuple[str, ...]
    amount: int
    document_number: str
    document_date: date


class Document(Struct, frozen=True):
    """What a document of two recipients was loaded with."""

    id: UUID
    amount: int
    services: tuple[str, ...]


class ObligationRow(Struct, frozen=True):
    """An obligation as it stands, in kopecks: amount = transferred + withdrawn + remaining."""

    number: int
    id: UUID
    debtor: str
    creditor: str
    services: list[str]
    amount: int
    document_number: str
    document_date: date
    loaded_at: datetime
    loaded_by: str
    transferred: int
    withdrawn: int
    remaining: int

    @property
    def state(self) -> str:
        """`open`; at the end `covered`, or `withdrawn` where some of it was."""
        if self.remaining:
            return "open"
        return "withdrawn" if self.withdrawn else "covered"


class TransferRow(Struct, frozen=True):
    """What a batch transferred on an obligation out of one service, in kopecks."""

    id: UUID
    obligation: UUID
    debtor: str
    creditor: str
    service: str
    amount: int
    document_number: str
    document_date: date


class PaidRow(Struct, frozen=True):
    """A transfer as its obligation tells it."""

    settlement_batch: UUID
    business_date: date
    id: UUID
    service: str
    amount: int


class WithdrawalRow(Struct, frozen=True):
    """What was asked to be withdrawn (None: all that remains), and once approved what was."""

    id: UUID
    asked: int | None
    reason: str
    asked_at: datetime
    asked_by: str
    amount: int | None
    approved_at: datetime | None
    approved_by: str | None


class Asked(Struct, frozen=True):
    """A withdrawal to be approved; `obligation` is a number, `asked_by` a caller's."""

    id: UUID
    obligation: int
    obligation_id: UUID
    amount: int | None
    reason: str
    asked_by: int
    asked_by_name: str
    approved: bool


def document_of(new: NewObligation) -> tuple[str, str, str, date]:
    """By what a document is one and the same."""
    return new.debtor, new.creditor, new.document_number, new.document_date


async def add(
    conn: Any,
    told: Sequence[NewObligation],
    recipients: Mapping[str, int],
    ids: Sequence[UUID],
    batch: int,
    at: datetime,
    caller: int,
) -> list[int | None]:
    """Their numbers in the order told; None for a document that is there already."""
    added = await conn.fetch(
        _ADD,
        ids,
        [recipients[new.debtor] for new in told],
        [recipients[new.creditor] for new in told],
        [orjson.dumps(new.services).decode() for new in told],
        [new.amount for new in told],
        [new.document_number for new in told],
        [new.document_date for new in told],
        batch,
        at,
        caller,
    )
    columns = [[row[name] for row in added] for name in ("number", "debtor", "amount")]
    await conn.execute(_OPEN, *columns)
    numbers = {row["id"]: row["number"] for row in added}
    return [numbers.get(id_) for id_ in ids]


async def documents(
    conn: Any, told: Sequence[NewObligation], recipients: Mapping[str, int]
) -> dict[tuple[str, str, str, date], Document]:
    """What the documents of debts that are there were loaded with."""
    rows = await conn.fetch(
        _DOCUMENTS,
        [recipients[new.debtor] for new in told],
        [recipients[new.creditor] for new in told],
        [new.document_number for new in told],
        [new.document_date for new in told],
    )
    return {
        document_of(told[row["place"] - 1]): Document(
            row["id"], row["amount"], tuple(row["services"])
        )
        for row in rows
    }


async def debtors(conn: Any, batch: int) -> list[int]:
    """Recipients (numbers) that owe anything that a batch pays on."""
    return [row["debtor"] for row in await conn.fetch(_DEBTORS, batch)]


async def debts(conn: Any, batch: int, owing: Sequence[int]) -> dict[int, list[Debt]]:
    """The debts of debtors in the order to be paid in, held until the commit."""
    found: dict[int, list[Debt]] = {}
    for debtor, number, creditor, services, remaining in await conn.fetch(_DEBTS, batch, owing):
        debt = Debt(number, creditor, frozenset(services), remaining)
        found.setdefault(debtor, []).append(debt)
    return found


async def add_transfers(
    conn: Any, batch: int, ids: Sequence[UUID], transfers: Sequence[Transfer]
) -> None:
    """Store what a batch transfers, and take it off what remains of the debts."""
    numbers = [transfer.number for transfer in transfers]
    amounts = [transfer.amount for transfer in transfers]
    services = [transfer.service for transfer in transfers]
    await conn.execute(_ADD_TRANSFERS, batch, ids, numbers, services, amounts)
    await conn.execute(_PAY, numbers, amounts)
    await conn.execute(_CLOSE_PAID, numbers)


async def find(conn: Any, obligation: UUID) -> ObligationRow | None:
    """An obligation by its id."""
    row = await conn.fetchrow(_FIND, obligation)
    return None if row is None else ObligationRow(*row.values())


async def find_several(conn: Any, numbers: Sequence[int]) -> list[ObligationRow]:
    """Obligations by number, in the order of numbers."""
    return [ObligationRow(*row.values()) for row in await conn.fetch(_FIND_SEVERAL, numbers)]


async def page(
    conn: Any, after: int, recipient: int | None, is_open: bool | None, limit: int
) -> list[ObligationRow]:
    """Obligations after a number; of a recipient those it owes and those owed to it."""
    rows = await conn.fetch(_PAGE, after, recipient, is_open, limit)
    return [ObligationRow(*row.values()) for row in rows]


async def transfers(conn: Any, batch: int, recipient: int | None = None) -> list[TransferRow]:
    """What a batch transferred, of everybody or from and to one recipient (numbers)."""
    rows = await conn.fetch(_TRANSFERS_OF_BATCH, batch, recipient)
    return [TransferRow(*row.values()) for row in rows]


async def paid(conn: Any, obligation: UUID, limit: int) -> list[PaidRow]:
    """The latest transfers on an obligation, the newest first."""
    return [
        PaidRow(*row.values()) for row in await conn.fetch(_TRANSFERS_OF_ONE, obligation, limit)
    ]


async def withdrawals(conn: Any, obligation: UUID, limit: int) -> list[WithdrawalRow]:
    """The latest withdrawals of an obligation, asked and approved, the newest first."""
    rows = await conn.fetch(_WITHDRAWALS, obligation, limit)
    return [WithdrawalRow(*row.values()) for row in rows]


async def loaders(conn: Any, batch: int) -> set[str]:
    """Names of those who loaded what a batch transferred on."""
    return {row["name"] for row in await conn.fetch(_LOADERS, batch)}


async def lock(conn: Any, obligation: UUID) -> tuple[int, int] | None:
    """(number, what remains) of an obligation, held until the commit; None where there is none."""
    number = await conn.fetchval(_NUMBER, obligation)
    if number is None:
        return None
    return number, await conn.fetchval(_LOCK_OPEN, number) or 0


async def ask(
    conn: Any,
    withdrawal: UUID,
    obligation: int,
    amount: int | None,
    reason: str,
    at: datetime,
    caller: int,
) -> None:
    """Keep what is asked to be withdrawn of an obligation."""
    await conn.execute(_ASK, withdrawal, obligation, amount, reason, at, caller)


async def asked(conn: Any, withdrawal: UUID) -> Asked | None:
    """What was asked, by its id."""
    row = await conn.fetchrow(_ASKED, withdrawal)
    return None if row is None else Asked(*row.values())


async def reduce(conn: Any, one: Asked, amount: int, batch: int, at: datetime, caller: int) -> None:
    """Take an approved withdrawal off what remains of its obligation, which is held."""
    await conn.execute(
        _REDUCE, one.id, one.obligation, batch, amount, one.reason, one.asked_by, at, caller
    )
    taken = await conn.execute(_PAY, [one.obligation], [amount])
    if taken != "UPDATE 1":
        raise InvariantBroken("Expected an obligation of which something remains")
    await conn.execute(_CLOSE_PAID, [one.obligation])
