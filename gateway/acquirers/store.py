"""SQL of what acquirers were asked for: tries to take payments, and refunds."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import orjson

from gateway.acquirers.requests import AcquirerRefund, Authorisation
from gateway.acquirers.words import Step
from gateway.domain.refusals import Refusal

_COLUMNS: Final = Authorisation.__struct_fields__
_REFUND_COLUMNS: Final = AcquirerRefund.__struct_fields__
_CHANGING: Final = (
    "state",
    "holds_reference",
    "to_suspense",
    "operation",
    "reason",
    "step",
    "settled_at",
    "next_poll_at",
)
_REFUND_CHANGING: Final = ("state", "operation", "reason", "settled_at", "next_poll_at")


def _places(names: Sequence[str], first: int = 1) -> str:
    return ", ".join(f"${number}" for number in range(first, first + len(names)))


_NAMES: Final = ", ".join(_COLUMNS)
_PLACES: Final = _places(_COLUMNS)
_CHANGED: Final = ", ".join(_CHANGING)
_CHANGED_PLACES: Final = _places(_CHANGING, 2)
_REFUND_NAMES: Final = ", ".join(_REFUND_COLUMNS)
_REFUND_PLACES: Final = _places(_REFUND_COLUMNS)
_REFUND_CHANGED: Final = ", ".join(_REFUND_CHANGING)
_REFUND_CHANGED_PLACES: Final = _places(_REFUND_CHANGING, 2)

_ADD = f"INSERT INTO authorisations ({_NAMES}) VALUES ({_PLACES})"
_SAVE = f"UPDATE authorisations SET ({_CHANGED}) = ({_CHANGED_PLACES}) WHERE id = $1"
_FIND = f"SELECT {_NAMES} FROM authorisations WHERE id = $1"
_LOCK = _FIND + " FOR UPDATE"
_OTHER_HOLDS = """
    SELECT EXISTS (SELECT 1 FROM authorisations
                   WHERE caller = $1 AND reference = $2 AND holds_reference AND id <> $3)
"""
# The rows are locked only for the instant of this statement: who takes them moves them on.
_TAKE_DUE = f"""
    UPDATE authorisations SET next_poll_at = $3, polls = polls + 1
    WHERE id IN (SELECT id FROM authorisations
                 WHERE acquirer = $1 AND next_poll_at <= $2
                 ORDER BY next_poll_at LIMIT $4 FOR UPDATE SKIP LOCKED)
    RETURNING {_NAMES}
"""
_POLL_SOON = """
    UPDATE authorisations SET next_poll_at = least(next_poll_at, $2)
    WHERE id = $1 AND acquirer = $3 AND state NOT IN ('accepted', 'declined')
"""
_KEEP_FIRST = """
    UPDATE idempotency_keys SET answer = coalesce(answer, $3) WHERE caller = $1 AND key = $2
    RETURNING answer
"""
_ADD_REFUND = f"INSERT INTO acquirer_refunds ({_REFUND_NAMES}) VALUES ({_REFUND_PLACES})"
_SAVE_REFUND = (
    f"UPDATE acquirer_refunds SET ({_REFUND_CHANGED}) = ({_REFUND_CHANGED_PLACES}) WHERE id = $1"
)
_FIND_REFUND = f"SELECT {_REFUND_NAMES} FROM acquirer_refunds WHERE id = $1"
_LOCK_REFUND = _FIND_REFUND + " FOR UPDATE"
_TAKE_DUE_REFUNDS = f"""
    UPDATE acquirer_refunds SET next_poll_at = $3, polls = polls + 1
    WHERE id IN (SELECT id FROM acquirer_refunds
                 WHERE acquirer = $1 AND next_poll_at <= $2
                 ORDER BY next_poll_at LIMIT $4 FOR UPDATE SKIP LOCKED)
    RETURNING {_REFUND_NAMES}
"""
_POLL_REFUNDS_SOON = """
    UPDATE acquirer_refunds SET next_poll_at = least(next_poll_at, $2)
    WHERE payment = $1 AND acquirer = $3 AND state NOT IN ('refunded', 'declined')
"""
_RESERVED = """
    SELECT coalesce(sum(amount), 0)::bigint FROM acquirer_refunds
    WHERE payment = $1 AND state NOT IN ('refunded', 'declined')
"""
_WAITING = """
    SELECT kind, state, count(*) AS tries, min(created_at) AS oldest FROM authorisations
    WHERE state NOT IN ('accepted', 'declined') GROUP BY kind, state
"""


class Doubled(Exception):
    """Another try holds the reference, or has the acquirer's operation."""


async def add(conn: Any, one: Authorisation) -> None:
    """Add a try; refuses `state_conflict` while another one of its reference is not declined."""
    try:
        await conn.execute(_ADD, *_values(one, _COLUMNS))
    except asyncpg.UniqueViolationError:
        raise Refusal(
            "state_conflict", "Expected a reference whose earlier try was declined, or a new one"
        ) from None


async def find(conn: Any, payment: UUID) -> Authorisation | None:
    """The try of a payment's id."""
    return _authorisation(await conn.fetchrow(_FIND, payment))


async def lock(conn: Any, payment: UUID) -> Authorisation | None:
    """The try of a payment's id, nobody else changing it until the commit."""
    return _authorisation(await conn.fetchrow(_LOCK, payment))


async def save(conn: Any, one: Authorisation) -> None:
    """Write what changed of a locked try; raises Doubled, and the transaction is lost."""
    try:
        await conn.execute(_SAVE, one.id, *_values(one, _CHANGING))
    except asyncpg.UniqueViolationError:
        raise Doubled from None


async def another_holds(conn: Any, one: Authorisation) -> bool:
    """Whether another try of the same reference is open, or was taken."""
    held: bool = await conn.fetchval(_OTHER_HOLDS, one.caller, one.reference, one.id)
    return held


async def take_due(
    conn: Any, acquirer: str, now: datetime, until: datetime, limit: int
) -> list[Authorisation]:
    """Tries that are due to be asked about; nobody else takes them before `until`."""
    rows = await conn.fetch(_TAKE_DUE, acquirer, now, until, limit)
    return [found for row in rows if (found := _authorisation(row)) is not None]


async def poll_soon(conn: Any, payment: UUID, now: datetime, acquirer: str) -> None:
    """Let a try that is open, and its refunds, be asked about now; what is settled stays."""
    await conn.execute(_POLL_SOON, payment, now, acquirer)
    await conn.execute(_POLL_REFUNDS_SOON, payment, now, acquirer)


async def keep_first(conn: Any, caller: int, key: str, content: bytes) -> bytes:
    """Keep the answer to a key unless one was kept before; the one that is kept."""
    kept: bytes = await conn.fetchval(_KEEP_FIRST, caller, key, content)
    return kept


async def add_refund(conn: Any, one: AcquirerRefund) -> None:
    """Add a refund that an acquirer is to be asked for."""
    await conn.execute(_ADD_REFUND, *_values(one, _REFUND_COLUMNS))


async def find_refund(conn: Any, refund: UUID) -> AcquirerRefund | None:
    """The refund of an id."""
    return _refund(await conn.fetchrow(_FIND_REFUND, refund))


async def lock_refund(conn: Any, refund: UUID) -> AcquirerRefund | None:
    """The refund of an id, nobody else changing it until the commit."""
    return _refund(await conn.fetchrow(_LOCK_REFUND, refund))


async def save_refund(conn: Any, one: AcquirerRefund) -> None:
    """Write what changed of a locked refund."""
    await conn.execute(_SAVE_REFUND, one.id, *_values(one, _REFUND_CHANGING))


async def take_due_refunds(
    conn: Any, acquirer: str, now: datetime, until: datetime, limit: int
) -> list[AcquirerRefund]:
    """Refunds that are due to be asked about; nobody else takes them before `until`."""
    rows = await conn.fetch(_TAKE_DUE_REFUNDS, acquirer, now, until, limit)
    return [found for row in rows if (found := _refund(row)) is not None]


async def reserved(conn: Any, payment: UUID) -> int:
    """Kopecks of a payment that refunds on their way to its acquirer hold."""
    held: int = await conn.fetchval(_RESERVED, payment)
    return held


async def waiting(conn: Any) -> list[tuple[str, str, int, datetime]]:
    """Kind, state, count and the oldest moment of all tries that are open."""
    return [tuple(row) for row in await conn.fetch(_WAITING)]


def _values(one: Any, names: Sequence[str]) -> list[Any]:
    return [_value(name, getattr(one, name)) for name in names]


def _value(name: str, value: Any) -> Any:
    if name == "facts":
        return value.decode()
    if name == "designation":
        return orjson.dumps(dict(value)).decode() if value else None
    if name == "step":
        return msgspec.json.encode(value).decode()
    return value


def _authorisation(row: Mapping[str, Any] | None) -> Authorisation | None:
    if row is None:
        return None
    designation = row["designation"]
    read = {
        "facts": row["facts"].encode(),
        "designation": tuple(orjson.loads(designation).items()) if designation else (),
        "step": msgspec.json.decode(row["step"], type=Step),
    }
    return Authorisation(**(dict(row) | read))


def _refund(row: Mapping[str, Any] | None) -> AcquirerRefund | None:
    return None if row is None else AcquirerRefund(**dict(row))
