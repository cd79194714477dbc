"""SQL of what approvals saw: whose requisites, which terms, and who had changed them.

A change is its maker's alone until somebody else approves a payment under it or under a later
version, or confirms one of these.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.domain.payment import METHODS

_ADD_TERMS = """
    INSERT INTO batch_terms (settlement_batch, terms_version) SELECT $1, terms_version FROM cut
"""
# A batch that an older program closed has no row; then the moment of its cut tells.
_TERMS = """
    SELECT coalesce(
        (SELECT terms_version FROM batch_terms WHERE settlement_batch = b.number),
        (SELECT max(t.version)
         FROM (SELECT version, set_at FROM commission_terms
               UNION ALL SELECT version, set_at FROM surcharge_terms) AS t
         WHERE t.set_at <= b.closed_at), 0)
    FROM settlement_batches AS b WHERE b.number = $1
"""
# What an older program approved beside this one, which looked at nobody.
_UNSEEN = """
    SELECT b.number, coalesce(t.terms_version, 0) AS terms_version, b.approved_by
    FROM settlement_batches AS b LEFT JOIN batch_terms AS t ON t.settlement_batch = b.number
    WHERE b.approved_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM batch_approvals AS a WHERE a.settlement_batch = b.number)
    ORDER BY b.approved_at
"""
_ADD_UNSEEN = """
    INSERT INTO batch_approvals (settlement_batch, terms_version, approved_by, two_people)
    VALUES ($1, $2, $3, false) ON CONFLICT DO NOTHING
"""
_ADD = """
    INSERT INTO batch_approvals (settlement_batch, terms_version, approved_by, two_people)
    VALUES ($1, $2, $3, true)
"""
_ADD_USED = """
    INSERT INTO requisites_used (settlement_batch, recipient, is_payer, version, agreement)
    SELECT $1, u.* FROM unnest($2::int[], $3::boolean[], $4::int[], $5::uuid[]) AS u
"""
_USED = """
    SELECT u.recipient, u.version FROM requisites_used AS u
    WHERE u.settlement_batch = $1 AND u.version IS NOT NULL
"""
_NUMBER = "SELECT number, terms_version FROM batch_approvals WHERE settlement_batch = $1"
_EVER = 2**63 - 1
_REQUISITES = """
    SELECT DISTINCT r.id AS subject, v.version, v.set_at, c.name AS set_by
    FROM unnest($1::int[], $2::int[]) AS p (recipient, version)
    JOIN recipient_versions AS v ON v.recipient = p.recipient AND v.version <= p.version
    LEFT JOIN recipient_versions AS w ON w.recipient = v.recipient AND w.version = v.version - 1
    JOIN recipients AS r ON r.number = v.recipient
    JOIN callers AS c ON c.number = v.set_by
    WHERE (v.name, v.kind, v.inn, v.kpp, v.bic, v.account, v.correspondent_account, v.bank_name)
          IS DISTINCT FROM
          (w.name, w.kind, w.inn, w.kpp, w.bic, w.account, w.correspondent_account, w.bank_name)
      AND NOT EXISTS (
          SELECT FROM requisites_used AS u
          JOIN batch_approvals AS a ON a.settlement_batch = u.settlement_batch AND a.number < $3
          JOIN callers AS o ON o.number = a.approved_by AND o.name <> c.name
          WHERE u.recipient = v.recipient AND u.version >= v.version)
      AND NOT EXISTS (
          SELECT FROM recipient_confirmations AS k
          JOIN callers AS o ON o.number = k.confirmed_by AND o.name <> c.name
          WHERE k.recipient = v.recipient AND k.version >= v.version AND k.number < $3)
    ORDER BY subject, version
"""
_COMMISSIONS = """
    SELECT r.id AS subject, v.version, t.set_at, c.name AS set_by
    FROM positions AS p
    JOIN commission_terms AS t ON t.recipient = p.recipient AND t.version <= $2
    JOIN recipients AS r ON r.number = t.recipient
    JOIN callers AS c ON c.number = t.set_by
    LEFT JOIN LATERAL (SELECT min(v.version) AS version FROM recipient_versions AS v
                       WHERE v.recipient = t.recipient AND v.terms_version >= t.version) AS v
        ON true
    WHERE p.settlement_batch = $1
      AND NOT EXISTS (
          SELECT FROM batch_approvals AS a
          JOIN positions AS q ON q.settlement_batch = a.settlement_batch
                             AND q.recipient = t.recipient
          JOIN callers AS o ON o.number = a.approved_by AND o.name <> c.name
          WHERE a.terms_version >= t.version AND a.number < $3)
      AND NOT EXISTS (
          SELECT FROM recipient_confirmations AS k
          JOIN recipient_versions AS w ON w.recipient = k.recipient AND w.version = k.version
          JOIN callers AS o ON o.number = k.confirmed_by AND o.name <> c.name
          WHERE k.recipient = t.recipient AND w.terms_version >= t.version AND k.number < $3)
    ORDER BY subject, t.version
"""
_SURCHARGES = """
    SELECT t.method AS subject, t.version, t.set_at, c.name AS set_by
    FROM surcharge_terms AS t
    JOIN callers AS c ON c.number = t.set_by
    WHERE t.version <= $1
      AND NOT EXISTS (
          SELECT FROM batch_approvals AS a
          JOIN callers AS o ON o.number = a.approved_by AND o.name <> c.name
          WHERE a.terms_version >= t.version AND a.number < $2)
      AND NOT EXISTS (
          SELECT FROM surcharge_confirmations AS k
          JOIN callers AS o ON o.number = k.confirmed_by AND o.name <> c.name
          WHERE k.method = t.method AND k.version >= t.version AND k.number < $2)
    ORDER BY t.version
"""


class Used(Struct, frozen=True):
    """Whose requisites a batch pays to, or from: a version of the recipient's own, or an
    agreement's.
    """

    recipient: int
    is_payer: bool
    version: int | None
    agreement: UUID | None


class Change(Struct, frozen=True):
    """A change that nobody but its maker has looked at: `what` is requisites, commission or
    surcharge; `of` a recipient or a way to pay.
    """

    what: str
    of: str
    version: int | None
    set_at: datetime
    set_by: str


async def add_terms(conn: Any, batch: int) -> None:
    """Keep the terms in force at the cut of a batch; the caller of this holds the cut lock."""
    await conn.execute(_ADD_TERMS, batch)


async def add(conn: Any, batch: int, used: Sequence[Used], caller: int) -> None:
    """Keep what an approval saw: the terms of its batch, and whose requisites it pays by."""
    await conn.execute(_ADD, batch, await conn.fetchval(_TERMS, batch), caller)
    await conn.execute(
        _ADD_USED,
        batch,
        [one.recipient for one in used],
        [one.is_payer for one in used],
        [one.version for one in used],
        [one.agreement for one in used],
    )


async def add_unseen(conn: Any) -> None:
    """Take down what older programs approved, so that it has its place in the order."""
    for row in await conn.fetch(_UNSEEN):
        await conn.execute(_ADD_UNSEEN, *row.values())


async def changes(conn: Any, batch: int, used: Sequence[Used]) -> list[Change]:
    """What a batch pays by and has charged, that its makers alone have looked at so far."""
    own = [(one.recipient, one.version) for one in used if one.version is not None]
    return await _changes(conn, batch, own, await conn.fetchval(_TERMS, batch), _EVER)


async def changes_then(conn: Any, batch: int) -> list[Change] | None:
    """As `changes`, for what an approval saw; None where there was none."""
    row = await conn.fetchrow(_NUMBER, batch)
    if row is None:
        return None
    own = [tuple(one) for one in await conn.fetch(_USED, batch)]
    return await _changes(conn, batch, own, row["terms_version"], row["number"])


async def _changes(
    conn: Any, batch: int, own: Sequence[tuple[int, int]], terms: int, before: int
) -> list[Change]:
    numbers, versions = [one for one, _ in own], [one for _, one in own]
    requisites = await conn.fetch(_REQUISITES, numbers, versions, before)
    commissions = await conn.fetch(_COMMISSIONS, batch, terms, before)
    surcharges = await conn.fetch(_SURCHARGES, terms, before)
    return [
        *(Change("requisites", *row.values()) for row in requisites),
        *(Change("commission", *row.values()) for row in commissions),
        *(Change("surcharge", METHODS[row["subject"]], *list(row.values())[1:])
          for row in surcharges),
    ]  # fmt: skip
