"""SQL of what recipients were, and what payers were asked for on top: versions, only ever added."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.domain.party import BankAccount, Recipient
from gateway.parties.store import written
from splitcore import FeeRule

_COLUMNS = """
    v.version, r.id, v.name, v.kind, v.inn, v.kpp, v.bic, v.account, v.correspondent_account,
    v.bank_name, v.terms_version, t.ppm, t.fixed, t.min, t.max, v.set_at, c.name AS set_by,
    (v.name, v.kind, v.inn, v.kpp, v.bic, v.account, v.correspondent_account, v.bank_name)
    IS NOT DISTINCT FROM
    (r.name, r.kind, r.inn, r.kpp, r.bic, r.account, r.correspondent_account, r.bank_name)
    AS stands,
    ARRAY (SELECT o.name FROM recipient_confirmations AS k
           JOIN callers AS o ON o.number = k.confirmed_by
           WHERE k.recipient = v.recipient AND k.version = v.version ORDER BY k.number)
        AS confirmed_by
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
    SELECT s.version, s.ppm, s.fixed, s.min, s.max, s.set_at, c.name AS set_by,
           ARRAY (SELECT o.name FROM surcharge_confirmations AS k
                  JOIN callers AS o ON o.number = k.confirmed_by
                  WHERE k.method = s.method AND k.version = s.version ORDER BY k.number)
               AS confirmed_by
    FROM surcharge_terms AS s JOIN callers AS c ON c.number = s.set_by
    WHERE s.method = $1 AND s.version < $2
    ORDER BY s.version DESC LIMIT $3
"""
_CONFIRM = """
    INSERT INTO recipient_confirmations (recipient, version, confirmed_by, confirmed_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
_CONFIRM_SURCHARGE = """
    INSERT INTO surcharge_confirmations (method, version, confirmed_by, confirmed_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""


class RecipientVersion(Struct, frozen=True):
    """A recipient as one change left it, with who made it; `terms_version` is its commission's.
    `stands`: the requisites are those of the recipient now.
    """

    version: int
    recipient: Recipient
    terms_version: int | None
    set_at: datetime
    set_by: str
    stands: bool
    confirmed_by: list[str]


class SurchargeVersion(Struct, frozen=True):
    """A fee from above; `version` is the terms version that it is in force from."""

    version: int
    rule: FeeRule
    set_at: datetime
    set_by: str
    confirmed_by: list[str]


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
    await conn.execute(_ADD, number, version, *written(recipient), terms_version, at, caller)


async def surcharges(conn: Any, method: int, before: int, limit: int) -> list[SurchargeVersion]:
    """Fees from above for payments by a method, below a version, the newest first."""
    return [
        SurchargeVersion(
            row["version"], _rule(row), row["set_at"], row["set_by"], row["confirmed_by"]
        )
        for row in await conn.fetch(_SURCHARGES, method, before, limit)
    ]


async def confirm(conn: Any, recipient: int, version: int, caller: int, at: datetime) -> None:
    """Keep that somebody else looked at a version of a recipient."""
    await conn.execute(_CONFIRM, recipient, version, caller, at)


async def confirm_surcharge(
    conn: Any, method: int, version: int, caller: int, at: datetime
) -> None:
    """Keep that somebody else looked at a fee from above."""
    await conn.execute(_CONFIRM_SURCHARGE, method, version, caller, at)


def _version(row: Mapping[str, Any]) -> RecipientVersion:
    account = BankAccount(
        row["bic"], row["account"], row["correspondent_account"], row["bank_name"]
    )
    rule = None if row["ppm"] is None else _rule(row)
    recipient = Recipient(
        row["id"], row["name"], row["kind"], row["inn"], row["kpp"], account, rule
    )
    return RecipientVersion(
        row["version"],
        recipient,
        row["terms_version"],
        row["set_at"],
        row["set_by"],
        row["stands"],
        row["confirmed_by"],
    )


def _rule(row: Mapping[str, Any]) -> FeeRule:
    return FeeRule(row["ppm"], row["fixed"], row["min"], row["max"])
