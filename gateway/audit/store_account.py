"""SQL of one account's history, to split a payment of it again."""

from collections.abc import Sequence
from typing import Any

from gateway.audit.store import BILLS, EVENTS

_BILLS_OF = BILLS + " WHERE subscriber_account = $1 ORDER BY number"
_EVENTS_OF = EVENTS + " WHERE subscriber_account = $1 ORDER BY sequence LIMIT $2"
_PLANS_OF = "SELECT * FROM split_plans WHERE number = ANY ($1::int[])"


async def bills(conn: Any, account: str) -> list[Any]:
    """Every bill of an account, in the order of their numbers."""
    found: list[Any] = await conn.fetch(_BILLS_OF, account)
    return found


async def events(conn: Any, account: str, limit: int) -> list[Any]:
    """The first splits, refunds and moves of an account, in the order of their sequence."""
    found: list[Any] = await conn.fetch(_EVENTS_OF, account, limit)
    return found


async def plans(conn: Any, numbers: Sequence[int]) -> list[Any]:
    """Split plans by their numbers."""
    found: list[Any] = await conn.fetch(_PLANS_OF, numbers)
    return found
