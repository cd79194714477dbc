"""SQL of what reports tell beside shares: which batches have it, payers, what was carried on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

_HAS_COLUMNS = "SELECT EXISTS (SELECT FROM report_forms WHERE from_batch <= $1)"
# The last bill before the close, so that a bill loaded later changes no report.
_PAYERS = "SELECT account, payer FROM payers_before($1, $2)"


_HAS_CARRIED = "SELECT EXISTS (SELECT FROM report_carried WHERE from_batch <= $1)"
_BEFORE = """
    SELECT b.number, b.id, p.carried_in, p.carried_out
    FROM positions AS p JOIN settlement_batches AS b ON b.number = p.settlement_batch
    WHERE p.recipient = $1 AND p.settlement_batch < $2
    ORDER BY p.settlement_batch DESC LIMIT $3
"""


class CarriedRow(Struct, frozen=True):
    """What a position before carried on, in kopecks, and of it what was carried to it."""

    number: int
    batch: UUID
    carried_in: int
    carried_out: int


async def has_carried(conn: Any, batch: int) -> bool:
    """Whether the reports of a batch (its number) name what earlier ones carried on."""
    found: bool = await conn.fetchval(_HAS_CARRIED, batch)
    return found


async def before(conn: Any, recipient: int, batch: int, limit: int) -> list[CarriedRow]:
    """The latest positions of a recipient (its number) before a batch, the newest first."""
    return [CarriedRow(*row.values()) for row in await conn.fetch(_BEFORE, recipient, batch, limit)]


async def has_columns(conn: Any, batch: int) -> bool:
    """Whether the reports of a batch (its number) have more columns."""
    found: bool = await conn.fetchval(_HAS_COLUMNS, batch)
    return found


async def payers(conn: Any, accounts: Sequence[str], before: datetime) -> dict[str, str]:
    """What the last bills of accounts before a moment say of their payers, as JSON text."""
    return {row["account"]: row["payer"] for row in await conn.fetch(_PAYERS, accounts, before)}
