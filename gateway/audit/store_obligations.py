"""SQL of the audit of obligations: what transfers are computed from, and what SQL alone sees."""

from collections.abc import AsyncIterator
from typing import Any, Final

TIMEOUT_S: Final = 3600.0
PAGE_ROWS: Final = 2000

_TOTALS = """
    SELECT (SELECT count(*) FROM obligations) AS obligations,
           (SELECT coalesce(sum(amount), 0)::bigint FROM obligation_transfers) AS transferred,
           (SELECT coalesce(sum(remaining), 0)::bigint FROM open_obligations)
               AS obligations_remaining
"""
# Each finds rows that break one rule: (row, detail).
CHECKS: Final[dict[str, str]] = {
    "obligation_overpaid": """
        SELECT 'obl_' || replace(d.id::text, '-', ''),
               'what was transferred, withdrawn and remains is not what was owed'
        FROM obligations AS d
        LEFT JOIN (SELECT obligation, sum(amount) AS amount FROM obligation_transfers
                   GROUP BY obligation) AS t ON t.obligation = d.number
        LEFT JOIN (SELECT obligation, sum(amount) AS amount FROM obligation_reductions
                   GROUP BY obligation) AS r ON r.obligation = d.number
        LEFT JOIN open_obligations AS o ON o.obligation = d.number
        WHERE coalesce(t.amount, 0) + coalesce(r.amount, 0) + coalesce(o.remaining, 0) <> d.amount
           OR o.remaining <= 0 OR o.debtor <> d.debtor
    """,
    "transfer_unknown": """
        SELECT 'obt_' || replace(t.id::text, '-', ''),
               'is not between the two of its obligation, or in no batch that was counted'
        FROM obligation_transfers AS t
        LEFT JOIN obligations AS d ON d.number = t.obligation
        LEFT JOIN settlement_batches AS b ON b.number = t.settlement_batch
        WHERE d.number IS NULL OR t.debtor <> d.debtor OR t.creditor <> d.creditor
           OR b.number IS NULL OR b.state = 'cut' OR t.settlement_batch < d.settlement_batch
    """,
    "transfers_not_counted": """
        SELECT 'position of ' || coalesce(r.id, '?') || ' in settlement batch ' || settlement_batch,
               'does not have what obligations brought or took'
        FROM (SELECT settlement_batch, recipient, sum(amount) AS amount
              FROM (SELECT settlement_batch, debtor AS recipient, -amount AS amount
                    FROM obligation_transfers
                    UNION ALL
                    SELECT settlement_batch, creditor, amount FROM obligation_transfers) AS m
              GROUP BY settlement_batch, recipient) AS t
        FULL JOIN (SELECT settlement_batch, recipient, transferred FROM positions) AS p
            USING (settlement_batch, recipient)
        LEFT JOIN recipients AS r ON r.number = recipient
        WHERE coalesce(t.amount, 0) IS DISTINCT FROM p.transferred
    """,
    "withdrawal_wrong": """
        SELECT 'obw_' || replace(r.id::text, '-', ''),
               'is not what was asked, or was approved by whoever asked'
        FROM obligation_reductions AS r
        LEFT JOIN obligation_withdrawals AS w ON w.id = r.id
        LEFT JOIN obligations AS d ON d.number = r.obligation
        LEFT JOIN callers AS a ON a.number = r.asked_by
        LEFT JOIN callers AS p ON p.number = r.approved_by
        WHERE w.id IS NULL OR d.number IS NULL OR r.settlement_batch < d.settlement_batch
           OR w.obligation <> r.obligation OR coalesce(w.amount, r.amount) <> r.amount
           OR w.reason <> r.reason OR w.asked_by <> r.asked_by OR a.name = p.name
    """,
    "approval_by_loader": """
        SELECT 'settlement batch ' || b.number,
               'approved by whoever loaded an obligation that it pays on'
        FROM settlement_batches AS b
        JOIN callers AS p ON p.number = b.approved_by
        WHERE EXISTS (SELECT FROM obligation_transfers AS t
                      JOIN obligations AS d ON d.number = t.obligation
                      JOIN callers AS l ON l.number = d.loaded_by
                      WHERE t.settlement_batch = b.number AND l.name = p.name)
    """,
}
_OBLIGATIONS = """
    SELECT number, id, debtor, creditor, services, amount, document_date, settlement_batch
    FROM obligations ORDER BY debtor, document_date, number
"""
_REDUCTIONS = "SELECT obligation, settlement_batch, amount FROM obligation_reductions"
_TRANSFERS = """
    SELECT settlement_batch, obligation, service, amount
    FROM obligation_transfers ORDER BY settlement_batch
"""
# What every debtor earned in every batch that was counted since its first debt: by the views for
# SQL users, which unpack the shares themselves.
_EARNED = """
    WITH owing AS (
        SELECT debtor AS recipient, min(settlement_batch) AS since FROM obligations
        GROUP BY debtor),
    counted AS (
        SELECT b.number, o.recipient FROM settlement_batches AS b
        JOIN owing AS o ON b.number >= o.since WHERE b.state <> 'cut'),
    brought AS (
        SELECT s.settlement_batch, s.recipient, s.service,
               coalesce(sum(s.amount_kopecks) FILTER (WHERE s.refund IS NULL), 0)::bigint AS shared,
               coalesce(-sum(s.amount_kopecks) FILTER (WHERE s.refund IS NOT NULL), 0)::bigint
                   AS refunded
        FROM shares AS s JOIN owing AS o ON o.recipient = s.recipient
                                        AND s.settlement_batch >= o.since
        GROUP BY s.settlement_batch, s.recipient, s.service),
    withheld AS (
        SELECT c.settlement_batch, c.recipient, sum(c.commission_kopecks)::bigint AS commission
        FROM commissions AS c JOIN owing AS o ON o.recipient = c.recipient
                                             AND c.settlement_batch >= o.since
        GROUP BY c.settlement_batch, c.recipient)
    SELECT k.number AS batch, k.recipient AS debtor,
           coalesce(p.carried_in + p.returned, 0) AS before,
           coalesce(w.commission, 0) AS commission,
           coalesce(array_agg(b.service) FILTER (WHERE b.service IS NOT NULL), '{}') AS services,
           coalesce(array_agg(b.shared) FILTER (WHERE b.service IS NOT NULL), '{}') AS shared,
           coalesce(array_agg(b.refunded) FILTER (WHERE b.service IS NOT NULL), '{}') AS refunded
    FROM counted AS k
    LEFT JOIN positions AS p ON p.settlement_batch = k.number AND p.recipient = k.recipient
    LEFT JOIN withheld AS w ON w.settlement_batch = k.number AND w.recipient = k.recipient
    LEFT JOIN brought AS b ON b.settlement_batch = k.number AND b.recipient = k.recipient
    GROUP BY k.number, k.recipient, p.carried_in, p.returned, w.commission
    ORDER BY k.number, k.recipient
"""


async def totals(conn: Any) -> dict[str, int]:
    """How many obligations, and kopecks transferred and remaining."""
    return dict(await conn.fetchrow(_TOTALS, timeout=TIMEOUT_S))


async def broken_rows(conn: Any, check: str) -> list[tuple[str, str]]:
    """Rows that break the rule named `check`: (row, detail)."""
    rows = await conn.fetch(CHECKS[check], timeout=TIMEOUT_S)
    return [(row[0] or "?", row[1] or "") for row in rows]


async def obligations(conn: Any) -> list[Any]:
    """Every obligation, of each debtor in the order to be paid in."""
    found: list[Any] = await conn.fetch(_OBLIGATIONS, timeout=TIMEOUT_S)
    return found


async def reductions(conn: Any) -> list[Any]:
    """What was withdrawn of obligations, and from which batch on."""
    found: list[Any] = await conn.fetch(_REDUCTIONS, timeout=TIMEOUT_S)
    return found


async def transfers(conn: Any) -> list[Any]:
    """What batches transferred on obligations out of services."""
    found: list[Any] = await conn.fetch(_TRANSFERS, timeout=TIMEOUT_S)
    return found


async def earned(conn: Any) -> AsyncIterator[Any]:
    """What debtors earned, a row a counted batch and debtor, by batch."""
    async for row in conn.cursor(_EARNED, prefetch=PAGE_ROWS, timeout=TIMEOUT_S):
        yield row
