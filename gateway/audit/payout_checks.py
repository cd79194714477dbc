"""SQL of the audit: what payouts and what the bank says of them have to be; see store.CHECKS."""

from typing import Final

PAYOUT_CHECKS: Final[dict[str, str]] = {
    "payout_wrong": """
        SELECT 'payout to ' || coalesce(r.id, '?') || ' of settlement batch ' || settlement_batch,
               'differs from the position, or its batch is not approved'
        FROM (SELECT p.settlement_batch, p.recipient, p.payable FROM positions AS p
              JOIN settlement_batches AS b ON b.number = p.settlement_batch
              WHERE b.approved_at IS NOT NULL AND p.payable > 0) AS owed
        FULL JOIN (SELECT settlement_batch, recipient, sum(amount) AS amount FROM payouts
                   GROUP BY settlement_batch, recipient) AS paid
            USING (settlement_batch, recipient)
        LEFT JOIN recipients AS r ON r.number = recipient
        WHERE coalesce(owed.payable, -1) <> coalesce(paid.amount, -2)
    """,
    "judged_balance_wrong": """
        SELECT 'position of ' || coalesce(r.id, '?') || ' in settlement batch ' || settlement_batch,
               'carries on what is not what was left when its batch was judged'
        FROM (SELECT settlement_batch, recipient, carried_out FROM positions
              WHERE carried_out <> 0
                AND settlement_batch IN (SELECT settlement_batch FROM judged_batches)) AS p
        FULL JOIN judged_balances AS j USING (settlement_batch, recipient)
        LEFT JOIN recipients AS r ON r.number = recipient
        WHERE p.carried_out IS DISTINCT FROM j.amount
    """,
    "duplicate_payouts": """
        SELECT 'payout to ' || r.id || ' of settlement batch ' || p.settlement_batch,
               'paid ' || count(*) || ' times'
        FROM payouts AS p JOIN recipients AS r ON r.number = p.recipient
        GROUP BY r.id, p.settlement_batch HAVING count(*) > 1
    """,
    "payout_state_wrong": """
        SELECT 'po_' || replace(p.id::text, '-', ''),
               'its state is not what happened to it'
        FROM payouts AS p
        LEFT JOIN (SELECT payout, array_agg(event) AS events FROM payout_events GROUP BY payout)
            AS e ON e.payout = p.id
        WHERE p.state <> CASE WHEN 'return' = ANY (e.events) THEN 'returned'
                              WHEN 'execute' = ANY (e.events) THEN 'executed'
                              WHEN 'cancel' = ANY (e.events) THEN 'cancelled'
                              WHEN 'send' = ANY (e.events) THEN 'sent' ELSE 'approved' END
           OR ('cancel' = ANY (e.events) AND cardinality(e.events) > 1)
    """,
    "batch_state_wrong": """
        SELECT 'settlement batch ' || b.number, 'its state is not that of its payouts'
        FROM settlement_batches AS b
        JOIN (SELECT settlement_batch, array_agg(DISTINCT state) AS states FROM payouts
              GROUP BY settlement_batch) AS p ON p.settlement_batch = b.number
        WHERE b.state <> CASE WHEN cardinality(p.states) = 1 THEN p.states[1]
                              ELSE 'partially_executed' END
    """,
    "batch_event_missing": """
        SELECT 'settlement batch ' || b.number, 'its last event does not lead to its state'
        FROM settlement_batches AS b
        LEFT JOIN LATERAL (SELECT state FROM settlement_events AS e
                           WHERE e.settlement_batch = b.number
                           ORDER BY e.number DESC LIMIT 1) AS e ON true
        WHERE coalesce(e.state, 'closed') <> b.state AND b.state NOT IN ('cut', 'approved')
    """,
    "returned_wrong": """
        SELECT 'money back of ' || r.id || ' from settlement batch '
                   || coalesce(m.from_batch, p.settlement_batch),
               'is not owed again, or not what its payout was'
        FROM returned_money AS m
        FULL JOIN (SELECT * FROM payouts WHERE state IN ('returned', 'cancelled')) AS p
            ON p.id = m.payout
        LEFT JOIN settlement_batches AS b ON b.number = m.from_batch
        LEFT JOIN positions AS q ON q.settlement_batch = m.from_batch AND q.recipient = m.recipient
        JOIN recipients AS r ON r.number = coalesce(m.recipient, p.recipient)
        WHERE m.from_batch IS NULL
           OR (m.payout IS NULL AND (b.state <> 'cancelled' OR b.approved_at IS NOT NULL
                                     OR m.amount IS DISTINCT FROM q.payable))
           OR (m.payout IS NOT NULL AND (p.id IS NULL OR p.amount <> m.amount
                                         OR p.recipient <> m.recipient
                                         OR p.settlement_batch <> m.from_batch))
    """,
    "cancelled_unpaid": """
        SELECT 'position of ' || r.id || ' in settlement batch ' || q.settlement_batch,
               'was cancelled and is not owed again'
        FROM positions AS q
        JOIN settlement_batches AS b ON b.number = q.settlement_batch AND b.state = 'cancelled'
        JOIN recipients AS r ON r.number = q.recipient
        LEFT JOIN returned_money AS m
            ON m.from_batch = q.settlement_batch AND m.recipient = q.recipient
        WHERE q.payable > 0 AND m.amount IS DISTINCT FROM q.payable
    """,
    "returned_not_counted": """
        SELECT 'position of ' || r.id || ' in settlement batch ' || settlement_batch,
               'does not have what came back'
        FROM (SELECT settlement_batch, recipient, sum(amount) AS amount
              FROM (SELECT settlement_batch, recipient, amount FROM returned_money
                    UNION ALL SELECT settlement_batch, recipient, amount FROM debt_settlements
                    UNION ALL SELECT settlement_batch, recipient, amount FROM paid_before) AS o
              WHERE settlement_batch IN
                    (SELECT number FROM settlement_batches WHERE state <> 'cut')
              GROUP BY settlement_batch, recipient HAVING sum(amount) <> 0) AS m
        FULL JOIN (SELECT settlement_batch, recipient, returned FROM positions
                   WHERE returned <> 0) AS p USING (settlement_batch, recipient)
        JOIN recipients AS r ON r.number = recipient
        WHERE m.amount IS DISTINCT FROM p.returned
    """,
    "statement_line_wrong": """
        SELECT 'bst_' || replace(s.id::text, '-', ''), 'a line speaks of two things, or of none'
        FROM bank_statements AS s
        JOIN (SELECT statement, line FROM payout_events WHERE statement IS NOT NULL
              UNION ALL SELECT statement, line FROM statement_discrepancies) AS l
            ON l.statement = s.id
        GROUP BY s.id, s.line_count
        HAVING count(*) <> count(DISTINCT l.line) OR max(l.line) > s.line_count
    """,
}
