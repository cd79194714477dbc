"""SQL of what recipients were, and what payers were asked for on top: versions, only ever added."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.domain.party import BankAccount, Recipient
from splitcore import FeeRule

_COLUMNS = """
    v.version, r.id, v.name, v.kind, v.inn, v.kpp, v.bic, v.account, v.correspondent_account,
    v.bank_name, v.terms_version, t.ppm, t.fixed, t.min, t.max, v.set_at, c.name AS set_by
    FROM recipient_versions AS v
    JOIN recipients AS r ON r.number = v.recipient
    JOIN callers AS c ON c.number = v.set_by
    LEFT JOIN commission_terms AS t ON t.recipient = v.recipient AND t.version = v.terms_version
"""
_PAGE = (
    "SELECT"
    + _COLUMNS
    + """
    WHERE v.recipient = $1 AND v.version < $2
    ORDER BY v.version DESC LIMIT $3
"""
)
_LATEST = (
    "SELECT DISTINCT ON (v.recipient) v.recipient AS number,"
    + _COLUMNS
    + """
    WHERE v.recipient = ANY ($1::int[])
    ORDER BY v.recipient, v.version DESC
"""
)
_ADD = """
    INSERT INTO recipient_versions (recipient, version, name, kind, inn, kpp, bic, account,
                                    correspondent_account, bank_name, terms_version, set_at, set_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""
_SURCHARGES = """
    SELECT s.version, s.ppm, s.fixed, s.min, s.max, s.set_at, c.name AS set_by
    FROM surcharge_terms AS s JOIN callers AS c ON c.number = s.set_by
    WHERE s.method = $1 AND s.version < $2
    ORDER BY s.version DESC LIMIT $3
"""


class RecipientVersion(Struct, frozen=True):
    """A recipient as one change left it, with who made it; `terms_version` is its commission's."""

    version: int
    recipient: Recipient
    terms_version: int | None
    set_at: datetime
    set_by: str


class SurchargeVersion(Struct, frozen=True):
    """A fee from above; `version` is the terms version that it is in force from."""

    version: int
    rule: FeeRule
    set_at: datetime
    set_by: str


async def page(conn: Any, recipient: int, before: int, limit: int) -> list[RecipientVersion]:
    """Versions of a recipient (its number) below one, the newest first."""
    return [_version(row) for row in await conn.fetch(_PAGE, recipient, before, limit)]


async def latest(conn: Any, recipients: Sequence[int]) -> dict[int, RecipientVersion]:
    """The last version of each of these recipients, by number, all as of one moment."""
    return {row["number"]: _version(row) for row in await conn.fetch(_LATEST, recipients)}


async def add(
    conn: Any,
    number: int,
    version: int,
    recipient: Recipient,
    terms_version: int | None,
    at: datetime,
    caller: int,
) -> None:
    """Keep what a change made of a recipient; the caller of this holds the cut lock."""
    account = recipient.bank_account
    await conn.execute(
        _ADD,
        number,
        version,
        recipient.name,
        recipient.kind,
        recipient.inn,
        recipient.kpp,
        account.bic,
        account.number,
        account.correspondent,
        account.bank_name,
        terms_version,
        at,
        caller,
    )


async def surcharges(conn: Any, method: int, before: int, limit: int) -> list[SurchargeVersion]:
    """Fees from above for payments by a method, below a version, the newest first."""
    return [
        SurchargeVersion(row["version"], _rule(row), row["set_at"], row["set_by"])
        for row in await conn.fetch(_SURCHARGES, method, before, limit)
    ]


def _version(row: Mapping[str, Any]) -> RecipientVersion:
    account = BankAccount(
        row["bic"], row["account"], row["correspondent_account"], row["bank_name"]
    )
    rule = None if row["ppm"] is None else _rule(row)
    recipient = Recipient(
        row["id"], row["name"], row["kind"], row["inn"], row["kpp"], account, rule
    )
    return RecipientVersion(
        row["version"], recipient, row["terms_version"], row["set_at"], row["set_by"]
    )


def _rule(row: Mapping[str, Any]) -> FeeRule:
    return FeeRule(row["ppm"], row["fixed"], row["min"], row["max"])
