"""SQL of the audit of recipients: each stands as its last change left it, none is lost, and no
approval was alone with what its maker changed.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

TIMEOUT_S: Final = 3600.0

Problem = tuple[str, str, str]

# Each finds rows that break one rule: (row, detail).
CHECKS: Final[dict[str, str]] = {
    "recipient_changed": """
        SELECT 'recipient ' || r.id, 'is not as its last version has it'
        FROM recipients AS r
        LEFT JOIN LATERAL (SELECT * FROM recipient_versions AS v WHERE v.recipient = r.number
                           ORDER BY v.version DESC LIMIT 1) AS v ON true
        WHERE (r.name, r.kind, r.inn, r.kpp, r.bic, r.account, r.correspondent_account,
               r.bank_name, r.set_at, r.set_by)
              IS DISTINCT FROM
              (v.name, v.kind, v.inn, v.kpp, v.bic, v.account, v.correspondent_account,
               v.bank_name, v.set_at, v.set_by)
           OR v.terms_version IS DISTINCT FROM
              (SELECT max(t.version) FROM commission_terms AS t WHERE t.recipient = r.number)
    """,
    "recipient_version_missing": """
        SELECT 'version ' || v.version || ' of recipient ' || coalesce(r.id, '?'),
               'does not follow on the one before, or is nobody''s'
        FROM (SELECT recipient, version,
                     lag(version, 1, 0) OVER (PARTITION BY recipient ORDER BY version) AS before
              FROM recipient_versions) AS v
        LEFT JOIN recipients AS r ON r.number = v.recipient
        WHERE v.version <> v.before + 1 OR r.number IS NULL
    """,
    "terms_version_wrong": """
        SELECT 'version ' || v.version || ' of recipient ' || coalesce(r.id, '?'),
               'has another commission than was put in force with it'
        FROM (SELECT *, lag(terms_version) OVER (PARTITION BY recipient ORDER BY version) AS before
              FROM recipient_versions) AS v
        LEFT JOIN recipients AS r ON r.number = v.recipient
        LEFT JOIN commission_terms AS t
            ON t.recipient = v.recipient AND t.version = v.terms_version
        WHERE v.version > 1 AND v.terms_version IS DISTINCT FROM v.before
          AND (t.version IS NULL OR t.version < v.before
               OR t.set_by <> v.set_by OR t.set_at <> v.set_at)
    """,
    # Those of batches of before are by the moments of their cuts, and clocks go back.
    "batch_terms_wrong": """
        SELECT 'settlement batch ' || t.settlement_batch,
               'was charged by older terms than the batch before, or by none that are in force'
        FROM (SELECT t.*, lag(t.terms_version, 1, 0::bigint) OVER (ORDER BY t.settlement_batch)
                              AS before
              FROM batch_terms AS t
              LEFT JOIN batch_approvals AS a USING (settlement_batch)
              WHERE a.two_people IS NOT FALSE) AS t
        WHERE t.terms_version < t.before OR t.terms_version > (SELECT terms_version FROM cut)
    """,
    # What an older program approved is taken down by the next approval.
    "approval_wrong": """
        SELECT 'settlement batch ' || b.number, 'its approval is not what was kept of it'
        FROM settlement_batches AS b
        LEFT JOIN batch_approvals AS a ON a.settlement_batch = b.number
        LEFT JOIN batch_terms AS t ON t.settlement_batch = b.number
        LEFT JOIN settlement_events AS e ON e.settlement_batch = b.number AND e.event = 'approve'
        WHERE b.approved_by IS DISTINCT FROM a.approved_by
          AND (a.number IS NOT NULL OR e.number < (
              SELECT max(f.number) FROM settlement_events AS f
              JOIN batch_approvals AS g ON g.settlement_batch = f.settlement_batch
              WHERE f.event = 'approve' AND g.two_people))
           OR a.two_people AND t.terms_version <> a.terms_version
    """,
    "payout_requisites_wrong": """
        SELECT 'payout to ' || coalesce(r.id, '?') || ' of settlement batch ' || settlement_batch,
               'was not paid by the requisites that its approval saw'
        FROM (SELECT p.* FROM payouts AS p JOIN batch_approvals AS a USING (settlement_batch)
              WHERE a.two_people) AS p
        FULL JOIN (SELECT u.settlement_batch, u.recipient, v.name, v.inn, v.kpp, v.bic, v.account,
                          v.correspondent_account, g.agreement,
                          g.name AS agreed_name, g.inn AS agreed_inn, g.kpp AS agreed_kpp,
                          g.bic AS agreed_bic, g.account AS agreed_account,
                          g.correspondent_account AS agreed_correspondent
                   FROM requisites_used AS u
                   JOIN batch_approvals AS a USING (settlement_batch)
                   LEFT JOIN recipient_versions AS v
                       ON v.recipient = u.recipient AND v.version = u.version
                   LEFT JOIN approved_agreements AS g
                       ON g.agreement = u.agreement AND g.recipient = u.recipient
                   WHERE a.two_people AND NOT u.is_payer) AS u
            USING (settlement_batch, recipient)
        LEFT JOIN recipients AS r ON r.number = recipient
        WHERE (p.name, p.inn, p.kpp, p.bic, p.account, p.correspondent_account)
              IS DISTINCT FROM
              CASE WHEN u.agreement IS NULL
                   THEN ROW (btrim(u.name), u.inn, u.kpp, u.bic, u.account,
                             u.correspondent_account)
                   ELSE ROW (btrim(u.agreed_name), u.agreed_inn, u.agreed_kpp, u.agreed_bic,
                             u.agreed_account, u.agreed_correspondent) END
    """,
    "payer_wrong": """
        SELECT 'settlement batch ' || b.number,
               'was not paid from the account that its approval saw'
        FROM settlement_batches AS b
        JOIN batch_approvals AS a ON a.settlement_batch = b.number AND a.two_people
        LEFT JOIN requisites_used AS u ON u.settlement_batch = b.number AND u.is_payer
        LEFT JOIN recipient_versions AS v ON v.recipient = u.recipient AND v.version = u.version
        WHERE u.recipient IS NOT NULL
          AND (v.account, v.bic) IS DISTINCT FROM (b.payer_account, b.payer_bic)
    """,
    "approval_by_changer": """
        SELECT DISTINCT 'settlement batch ' || a.settlement_batch,
               'approved by whoever alone had looked at a change of what it pays by or charged'
        FROM batch_approvals AS a
        JOIN callers AS c ON c.number = a.approved_by
        WHERE a.two_people AND (EXISTS (
            SELECT FROM requisites_used AS u
            JOIN recipient_versions AS v ON v.recipient = u.recipient AND v.version <= u.version
            LEFT JOIN recipient_versions AS w
                ON w.recipient = v.recipient AND w.version = v.version - 1
            JOIN callers AS s ON s.number = v.set_by AND s.name = c.name
            WHERE u.settlement_batch = a.settlement_batch
              AND (v.name, v.kind, v.inn, v.kpp, v.bic, v.account, v.correspondent_account,
                   v.bank_name)
                  IS DISTINCT FROM
                  (w.name, w.kind, w.inn, w.kpp, w.bic, w.account, w.correspondent_account,
                   w.bank_name)
              AND NOT EXISTS (
                  SELECT FROM requisites_used AS x
                  JOIN batch_approvals AS b ON b.settlement_batch = x.settlement_batch
                  JOIN callers AS o ON o.number = b.approved_by
                  WHERE x.recipient = v.recipient AND x.version >= v.version
                    AND b.number < a.number AND o.name <> c.name)
              AND NOT EXISTS (
                  SELECT FROM recipient_confirmations AS k
                  JOIN callers AS o ON o.number = k.confirmed_by
                  WHERE k.recipient = v.recipient AND k.version >= v.version
                    AND k.number < a.number AND o.name <> c.name))
        OR EXISTS (
            SELECT FROM positions AS p
            JOIN commission_terms AS t ON t.recipient = p.recipient
                                      AND t.version <= a.terms_version
            JOIN callers AS s ON s.number = t.set_by AND s.name = c.name
            WHERE p.settlement_batch = a.settlement_batch
              AND NOT EXISTS (
                  SELECT FROM batch_approvals AS b
                  JOIN positions AS q ON q.settlement_batch = b.settlement_batch
                  JOIN callers AS o ON o.number = b.approved_by
                  WHERE q.recipient = t.recipient AND b.terms_version >= t.version
                    AND b.number < a.number AND o.name <> c.name)
              AND NOT EXISTS (
                  SELECT FROM recipient_confirmations AS k
                  JOIN recipient_versions AS v
                      ON v.recipient = k.recipient AND v.version = k.version
                  JOIN callers AS o ON o.number = k.confirmed_by
                  WHERE k.recipient = t.recipient AND v.terms_version >= t.version
                    AND k.number < a.number AND o.name <> c.name))
        OR EXISTS (
            SELECT FROM surcharge_terms AS t
            JOIN callers AS s ON s.number = t.set_by AND s.name = c.name
            WHERE t.version <= a.terms_version
              AND NOT EXISTS (
                  SELECT FROM batch_approvals AS b
                  JOIN callers AS o ON o.number = b.approved_by
                  WHERE b.terms_version >= t.version AND b.number < a.number
                    AND o.name <> c.name)
              AND NOT EXISTS (
                  SELECT FROM surcharge_confirmations AS k
                  JOIN callers AS o ON o.number = k.confirmed_by
                  WHERE k.method = t.method AND k.version >= t.version
                    AND k.number < a.number AND o.name <> c.name)))
    """,
    "confirmation_by_changer": """
        SELECT 'version ' || v.version || ' of recipient ' || coalesce(r.id, '?'),
               'confirmed by whoever made it'
        FROM recipient_confirmations AS k
        JOIN recipient_versions AS v ON v.recipient = k.recipient AND v.version = k.version
        LEFT JOIN recipients AS r ON r.number = v.recipient
        JOIN callers AS s ON s.number = v.set_by
        JOIN callers AS o ON o.number = k.confirmed_by AND o.name = s.name
        UNION ALL
        SELECT 'surcharge version ' || t.version, 'confirmed by whoever made it'
        FROM surcharge_confirmations AS k
        JOIN surcharge_terms AS t ON t.method = k.method AND t.version = k.version
        JOIN callers AS s ON s.number = t.set_by
        JOIN callers AS o ON o.number = k.confirmed_by AND o.name = s.name
    """,
}


async def broken(conn: Any) -> AsyncIterator[Problem]:
    """What is not as it was made by somebody whose name is kept."""
    for check, query in CHECKS.items():
        for row in await conn.fetch(query, timeout=TIMEOUT_S):
            yield check, row[0] or "?", row[1]
