"""SQL of the audit of recipients: each stands as its last change left it, and none is lost."""

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
}


async def broken(conn: Any) -> AsyncIterator[Problem]:
    """What is not as it was made by somebody whose name is kept."""
    for check, query in CHECKS.items():
        for row in await conn.fetch(query, timeout=TIMEOUT_S):
            yield check, row[0] or "?", row[1]
