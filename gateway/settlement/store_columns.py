"""SQL of what reports tell beside money: which batches' have it, and payers of accounts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

_HAS_COLUMNS = "SELECT EXISTS (SELECT FROM report_forms WHERE from_batch <= $1)"
# The last bill before the close, so that a bill loaded later changes no report.
_PAYERS = "SELECT account, payer FROM payers_before($1, $2)"


async def has_columns(conn: Any, batch: int) -> bool:
    """Whether the reports of a batch (its number) have more columns."""
    found: bool = await conn.fetchval(_HAS_COLUMNS, batch)
    return found


async def payers(conn: Any, accounts: Sequence[str], before: datetime) -> dict[str, str]:
    """What the last bills of accounts before a moment say of their payers, as JSON text."""
    return {row["account"]: row["payer"] for row in await conn.fetch(_PAYERS, accounts, before)}
