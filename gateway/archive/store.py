"""SQL of archives: what a month holds, its rows, and the names that go with their numbers."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any, Final

from msgspec import Struct

from gateway.archive.fields import Value, kept
from gateway.storage import leaves

_BATCHES = """
    SELECT b.number, b.id, b.business_date,
           CASE WHEN c.number IS NULL THEN 'counted'
                WHEN a.number IS NULL AND (b.approved_at IS NOT NULL OR b.state <> 'cancelled')
                THEN 'approved' END AS unsealed
    FROM settlement_batches AS b
    LEFT JOIN seals AS c ON c.settlement_batch = b.number AND c.stage = 'counted'
    LEFT JOIN seals AS a ON a.settlement_batch = b.number AND a.stage = 'approved'
    WHERE b.business_date >= $1 AND b.business_date < $2 ORDER BY b.number
"""
_GONE_ON = "SELECT EXISTS (SELECT FROM settlement_batches WHERE business_date >= $1)"
_SEALS = """
    SELECT settlement_batch, number, stage, version, leaves, before, root, chain
    FROM (SELECT *, lag(chain) OVER (ORDER BY number) AS before FROM seals) AS s
    ORDER BY number
"""
_SHARES = """
    SELECT s.settlement_batch, s.payment, s.refund, s.entry, s.subscriber_account, s.at,
           s.charge::integer, s.service, r.id AS recipient, s.amount_kopecks
    FROM shares AS s JOIN recipients AS r ON r.number = s.recipient
    WHERE s.settlement_batch = $1 ORDER BY s.payment, s.at, s.place
"""
_CALLERS = "SELECT number, name FROM callers ORDER BY number"
_RECIPIENTS = "SELECT number, id, name, inn FROM recipients ORDER BY number"
# Of one statement over a batch of a million payments.
_TIMEOUT_S: Final = 600.0
_AHEAD: Final = 2_000


class Batch(Struct, frozen=True):
    """A settlement batch, and the stage that it must still be sealed in before it may go."""

    number: int
    id: str
    business_date: date
    unsealed: str | None


class Seal(Struct, frozen=True):
    """A seal, with the chain's value before it; None before the first."""

    settlement_batch: int
    number: int
    stage: str
    version: int
    leaves: int
    before: bytes | None
    root: bytes
    chain: bytes


async def batches(conn: Any, first: date, beyond: date) -> list[Batch]:
    """The batches of business days from `first` and before `beyond`, by number."""
    found = await conn.fetch(_BATCHES, first, beyond)
    return [
        Batch(row["number"], str(row["id"]), row["business_date"], row["unsealed"]) for row in found
    ]


async def gone_on(conn: Any, day: date) -> bool:
    """Whether a batch of that day or a later one was closed: no earlier day gets another."""
    return bool(await conn.fetchval(_GONE_ON, day))


async def seals(conn: Any) -> list[Seal]:
    """All seals in their order."""
    return [Seal(*row.values()) for row in await conn.fetch(_SEALS)]


class Rows:
    """The rows of a statement as a file keeps them, in a transaction."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self.columns = [(each.name, each.type.oid) for each in statement.get_attributes()]

    async def of(self, *arguments: object) -> AsyncIterator[list[Value]]:
        """The rows, some at a time."""
        cursor = await self._statement.cursor(*arguments, timeout=_TIMEOUT_S)
        while rows := await cursor.fetch(_AHEAD, timeout=_TIMEOUT_S):
            for row in rows:
                yield [kept(value) for value in row.values()]


async def sealed_rows(conn: Any, kind: int) -> Rows:
    """The rows of a kind; of a batch by its number."""
    return Rows(await conn.prepare(leaves.ROWS[kind]))


async def shares(conn: Any) -> Rows:
    """What went to whom, of a batch by its number."""
    return Rows(await conn.prepare(_SHARES))


async def names(conn: Any) -> dict[str, Rows]:
    """The tables that say who a number is, by the names of their files."""
    return {
        "callers": Rows(await conn.prepare(_CALLERS)),
        "recipients": Rows(await conn.prepare(_RECIPIENTS)),
    }
