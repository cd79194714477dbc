"""SQL of the audit: what was paid before a restore, and who let settlement go on; see
store.CHECKS.
"""

from typing import Final

RESTORE_CHECKS: Final[dict[str, str]] = {
    # Booked by a lift, or later by a statement where it gives back what a lift has booked.
    "paid_before_wrong": """
        SELECT 'line ' || b.line || ' of bst_' || replace(b.statement::text, '-', ''),
               'is not booked as its line, its decision and its lift have it'
        FROM paid_before AS b
        LEFT JOIN restored_lines AS l ON l.statement = b.statement AND l.line = b.line
        LEFT JOIN lifted_restores AS f ON f.restore = l.restore
        LEFT JOIN restored_lines AS g ON g.statement = l.of_statement AND g.line = l.of_line
        LEFT JOIN paid_before AS h ON h.statement = l.of_statement AND h.line = l.of_line
        LEFT JOIN LATERAL (SELECT * FROM restored_line_decisions AS s
                           WHERE s.statement = b.statement AND s.line = b.line
                           ORDER BY s.number DESC LIMIT 1) AS d ON true
        WHERE l.line IS NULL OR f.restore IS NULL
           OR b.amount <> CASE WHEN l.came THEN l.amount ELSE -l.amount END
           OR b.recipient IS DISTINCT FROM
              CASE WHEN d.number IS NOT NULL THEN d.recipient
                   ELSE coalesce(h.recipient, l.recipient) END
           OR (h.line IS NULL AND b.settlement_batch <> f.settlement_batch)
           OR b.settlement_batch < f.settlement_batch
           OR (g.line IS NOT NULL AND (g.came OR g.amount <> l.amount))
    """,
    "restored_line_wrong": """
        SELECT 'line ' || l.line || ' of bst_' || replace(l.statement::text, '-', ''),
               'is not what its statement told, or was forgotten by its lift'
        FROM restored_lines AS l
        LEFT JOIN statement_discrepancies AS d ON d.statement = l.statement AND d.line = l.line
        LEFT JOIN lifted_restores AS f ON f.restore = l.restore
        LEFT JOIN paid_before AS b ON b.statement = l.statement AND b.line = l.line
        WHERE d.amount IS DISTINCT FROM l.amount
           OR d.kind IS DISTINCT FROM CASE WHEN l.came THEN 'returned-before-restore'
                                           ELSE 'paid-before-restore' END
           OR (f.restore IS NOT NULL AND b.line IS NULL AND NOT EXISTS (
                   SELECT FROM restored_line_decisions AS s
                   WHERE s.recipient IS NULL AND s.statement IN (l.statement, l.of_statement)
                     AND s.line IN (l.line, l.of_line)))
    """,
    "lift_by_one_person": """
        SELECT 'rst_' || replace(l.restore::text, '-', ''),
               'was lifted by whoever asked for it or decided its lines, or nobody asked'
        FROM lifted_restores AS l
        LEFT JOIN restore_lifts AS f ON f.id = l.lift
        JOIN callers AS a ON a.number = l.approved_by
        LEFT JOIN callers AS q ON q.number = f.asked_by
        WHERE q.name IS NULL OR q.name = a.name OR EXISTS (
            SELECT FROM restored_lines AS n
            JOIN restored_line_decisions AS d ON d.statement = n.statement AND d.line = n.line
            JOIN callers AS c ON c.number = d.caller
            WHERE n.restore = l.restore AND c.name = a.name)
    """,
    # Marked by the newest restore that found it closed or approved; before restores were kept, by
    # none that is known.
    "restored_at_wrong": """
        SELECT 'settlement batch ' || b.number, 'was marked as restored otherwise than by a restore'
        FROM settlement_batches AS b
        LEFT JOIN LATERAL (
            SELECT max(r.at) AS at FROM restores AS r
            WHERE (SELECT e.state FROM settlement_events AS e
                   WHERE e.settlement_batch = b.number AND e.at < r.at
                   ORDER BY e.number DESC LIMIT 1) IN ('closed', 'approved')) AS m ON true
        WHERE (b.restored_at IS NULL AND m.at IS NOT NULL)
           OR (NOT EXISTS (SELECT FROM restores AS r WHERE r.at = b.restored_at)
               AND b.restored_at >= (SELECT applied_at FROM schema_migrations
                                     WHERE name = 'restores'))
    """,
}
