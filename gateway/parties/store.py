"""SQL of recipients."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from gateway.domain.party import BankAccount, Recipient
from splitcore import FeeRule

_SET = """
    INSERT INTO recipients (id, name, kind, inn, kpp, bic, account, correspondent_account,
                            bank_name, set_at, set_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (id) DO UPDATE
    SET name = excluded.name, kind = excluded.kind, inn = excluded.inn, kpp = excluded.kpp,
        bic = excluded.bic, account = excluded.account,
        correspondent_account = excluded.correspondent_account,
        bank_name = excluded.bank_name,
        set_at = excluded.set_at, set_by = excluded.set_by
    RETURNING number
"""
_RECIPIENTS = """
    SELECT r.number, r.id, r.name, r.kind, r.inn, r.kpp, r.bic, r.account,
           r.correspondent_account, r.bank_name, t.ppm, t.fixed, t.min, t.max
    FROM recipients AS r
    LEFT JOIN LATERAL (SELECT ppm, fixed, min, max FROM commission_terms AS c
                       WHERE c.recipient = r.number ORDER BY version DESC LIMIT 1) AS t ON true
"""
_BY_ID = _RECIPIENTS + " WHERE r.id = $1"
_ALL = _RECIPIENTS + " ORDER BY r.id"
_CENTRE = _RECIPIENTS + " WHERE r.kind = 'centre' ORDER BY r.number LIMIT 1"
_NUMBERS = "SELECT id, number FROM recipients WHERE id = ANY ($1::text[])"


def written(recipient: Recipient) -> tuple[str | None, ...]:
    """The columns of what a recipient is, in the order that they are written in."""
    account = recipient.bank_account
    return (
        *(recipient.name, recipient.kind, recipient.inn, recipient.kpp),
        *(account.bic, account.number, account.correspondent, account.bank_name),
    )


async def set_recipient(conn: Any, recipient: Recipient, at: datetime, caller: int) -> int:
    """Write a recipient's requisites; its number."""
    number: int = await conn.fetchval(
        _SET,
        recipient.id,
        *written(recipient),
        at,
        caller,
    )
    return number


async def find(conn: Any, recipient: str) -> tuple[int, Recipient] | None:
    """A recipient by id with its number."""
    return _numbered(await conn.fetchrow(_BY_ID, recipient))


async def find_centre(conn: Any) -> tuple[int, Recipient] | None:
    """The settlement centre itself, which pays the others."""
    return _numbered(await conn.fetchrow(_CENTRE))


async def find_all(conn: Any) -> dict[int, Recipient]:
    """Every recipient by number."""
    return {row["number"]: _recipient(row) for row in await conn.fetch(_ALL)}


async def numbers(conn: Any, ids: Iterable[str]) -> dict[str, int]:
    """Numbers by id; unknown ids are left out."""
    rows = await conn.fetch(_NUMBERS, list(ids))
    return {row["id"]: row["number"] for row in rows}


def _numbered(row: Mapping[str, Any] | None) -> tuple[int, Recipient] | None:
    return None if row is None else (row["number"], _recipient(row))


def _recipient(row: Mapping[str, Any]) -> Recipient:
    rule = None
    if row["ppm"] is not None:
        rule = FeeRule(row["ppm"], row["fixed"], row["min"], row["max"])
    return Recipient(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        inn=row["inn"],
        kpp=row["kpp"],
        bank_account=BankAccount(
            row["bic"], row["account"], row["correspondent_account"], row["bank_name"]
        ),
        commission=rule,
    )
