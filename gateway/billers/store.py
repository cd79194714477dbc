"""SQL of the biller protocols: our number of a payment or a refund."""

from typing import Any
from uuid import UUID

_ADD = """
    INSERT INTO biller_numbers (resource, subscriber_account) VALUES ($1, $2)
    ON CONFLICT DO NOTHING RETURNING number
"""
_FIND = "SELECT number FROM biller_numbers WHERE resource = $1 AND subscriber_account = $2"


async def number_of(conn: Any, resource: UUID, account: str) -> int:
    """The number of a payment or a refund that is durable; given once, the same for ever."""
    number = await conn.fetchval(_FIND, resource, account)
    if number is None:
        number = await conn.fetchval(_ADD, resource, account)
    if number is None:
        # Another worker gave it just now, which only a new statement sees.
        number = await conn.fetchval(_FIND, resource, account)
    return int(number)
