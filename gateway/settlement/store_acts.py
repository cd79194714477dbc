"""SQL of acts: what was printed is kept, and what an act is made of is read at one moment."""

from datetime import date, datetime
from typing import Any

from msgspec import Struct

_FIND = "SELECT content FROM acts WHERE settlement_batch = $1 AND recipient = $2"
# Whoever prints at the same time gets the one that was kept first.
_KEEP = """
    INSERT INTO acts (settlement_batch, recipient, made_at, content) VALUES ($1, $2, $3, $4)
    ON CONFLICT (settlement_batch, recipient) DO NOTHING
"""
_ORDER = """
    SELECT name, inn, kpp, account, bic, order_date FROM payouts
    WHERE settlement_batch = $1 AND recipient = $2
"""
_FIRST_DAY = "SELECT first_day FROM batch_dates WHERE settlement_batch = $1"


class Paid(Struct, frozen=True):
    """Whom a batch's order pays and where, as it stood at the approval, and the order's date."""

    name: str
    inn: str
    kpp: str | None
    account: str
    bic: str
    order_date: date


async def find(conn: Any, batch: int, recipient: int) -> bytes | None:
    """An act that was printed before."""
    content: bytes | None = await conn.fetchval(_FIND, batch, recipient)
    return content


async def keep(conn: Any, batch: int, recipient: int, at: datetime, content: bytes) -> None:
    """Keep an act for ever, unless one is kept already."""
    await conn.execute(_KEEP, batch, recipient, at, content)


async def paid(conn: Any, batch: int, recipient: int) -> Paid | None:
    """The order of a recipient in a batch; None where nothing is paid."""
    row = await conn.fetchrow(_ORDER, batch, recipient)
    return None if row is None else Paid(*row.values())


async def first_day(conn: Any, batch: int) -> date | None:
    """The first business day of a batch; None where it was closed before there were any."""
    found: date | None = await conn.fetchval(_FIRST_DAY, batch)
    return found
