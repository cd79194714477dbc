"""The first month of payments as a table by itself, for loads that make its indexes anew.

What is part of all payments can neither lose an index of its own nor take rows that are frozen.
"""

from typing import Any, Final

TABLE: Final = "payments_first"
_BOUND = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = $1"


async def apart(conn: Any) -> str:
    """Takes the month out of payments; the statement that makes it one of them again."""
    bound = await conn.fetchval(_BOUND, TABLE)
    await conn.execute(f"ALTER TABLE payments DETACH PARTITION {TABLE}")
    return f"ALTER TABLE payments ATTACH PARTITION {TABLE} {bound}"
