"""What the audit asks of arrivals: nothing comes twice, nor more than the statements' lines."""

from collections.abc import AsyncIterator
from typing import Any

from gateway.audit import store

Problem = tuple[str, str, str]


async def wrong(conn: Any) -> AsyncIterator[Problem]:
    """Rows of reconciliation that break a rule, as the view of that name finds them."""
    for row in await conn.fetch(store.ARRIVALS_WRONG, timeout=store.TIMEOUT_S):
        yield row["rule"], row["row"] or "?", row["detail"]
