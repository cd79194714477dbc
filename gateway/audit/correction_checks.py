"""SQL of the audit: what corrections, chargebacks and debts have to be; see store.CHECKS."""

from typing import Final

CORRECTION_CHECKS: Final[dict[str, str]] = {
    "correction_unbalanced": """
        SELECT 'cor_' || replace(coalesce(c.id, l.entry)::text, '-', ''),
               'does not take what it gives, or is not what was asked for'
        FROM corrections AS c
        FULL JOIN (SELECT entry, min(payment::text)::uuid AS payment,
                          count(DISTINCT payment) AS payments, count(DISTINCT at) AS moments,
                          count(DISTINCT settlement_batch) AS batches,
                          min(settlement_batch) AS batch,
                          sum(amount) FILTER (WHERE sign < 0) AS taken,
                          sum(amount) FILTER (WHERE sign > 0) AS given
                   FROM moves WHERE kind = 'correction' GROUP BY entry) AS l ON l.entry = c.id
        WHERE c.id IS NULL OR l.entry IS NULL OR l.payment <> c.payment OR l.payments <> 1
           OR l.moments <> 1 OR l.batches <> 1 OR l.batch <> c.settlement_batch
           OR l.taken IS DISTINCT FROM c.amount OR l.given IS DISTINCT FROM c.amount
    """,
    "chargeback_unbalanced": """
        SELECT CASE e.kind WHEN 'refund' THEN 'ref_' WHEN 'chargeback' THEN 'chb_' ELSE 'rev_' END
                   || replace(coalesce(e.id, l.entry)::text, '-', ''),
               'its moves are not what it is'
        FROM (SELECT id, payment, amount, settlement_batch, suspended, 'chargeback' AS kind
              FROM chargebacks
              UNION ALL
              SELECT id, payment, amount, settlement_batch, suspended, 'reversal'
              FROM chargeback_reversals
              UNION ALL
              SELECT id, payment, amount, settlement_batch, false, 'refund' FROM refunds AS f
              WHERE f.shares IS NULL AND EXISTS (SELECT FROM moves AS x WHERE x.entry = f.id)) AS e
        FULL JOIN (SELECT entry, kind, payment, settlement_batch, sum(amount) AS amount FROM moves
                   WHERE kind <> 'correction' GROUP BY entry, kind, payment, settlement_batch) AS l
            ON l.entry = e.id AND l.kind = e.kind AND l.payment = e.payment
           AND l.settlement_batch = e.settlement_batch
        WHERE e.id IS NULL OR e.suspended <> (l.entry IS NULL)
           OR l.amount IS NOT NULL AND l.amount <> e.amount
    """,
    "given_back_unbalanced": """
        SELECT 'pay_' || replace(coalesce(g.payment, p.id)::text, '-', ''),
               'more went back of it than was paid, or it is no payment'
        FROM (SELECT payment, sum(kopecks) AS kopecks
              FROM (SELECT payment, amount AS kopecks FROM refunds
                    UNION ALL SELECT payment, amount FROM chargebacks
                    UNION ALL SELECT payment, -amount FROM chargeback_reversals
                    UNION ALL SELECT payment, 0 FROM moves) AS b
              GROUP BY payment) AS g
        LEFT JOIN payments AS p ON p.id = g.payment
        WHERE p.id IS NULL OR g.kopecks NOT BETWEEN 0 AND p.amount
    """,
    "reversal_exceeds": """
        SELECT 'chb_' || replace(c.id::text, '-', ''), 'more was won of it than it took'
        FROM chargebacks AS c JOIN chargeback_reversals AS r ON r.chargeback = c.id
        GROUP BY c.id, c.amount, c.payment
        HAVING sum(r.amount) > c.amount OR bool_or(r.payment <> c.payment)
    """,
    "chargeback_of_another": """
        SELECT 'chb_' || replace(c.id::text, '-', ''), 'its acquirer is not who took the payment'
        FROM chargebacks AS c JOIN payments AS p ON p.id = c.payment WHERE c.acquirer <> p.caller
    """,
    "entry_without_key": """
        SELECT e.prefix || replace(e.id::text, '-', ''), 'no idempotency key made this entry'
        FROM (SELECT id, 'cor_' AS prefix, caller FROM corrections
              UNION ALL SELECT id, 'chb_', caller FROM chargebacks
              UNION ALL SELECT id, 'rev_', caller FROM chargeback_reversals
              UNION ALL SELECT id, 'dbt_', asked_by FROM debt_requests) AS e
        LEFT JOIN idempotency_keys AS k ON k.resource = e.id AND k.caller = e.caller
        WHERE k.resource IS NULL
    """,
    "debt_settlement_wrong": """
        SELECT 'dbt_' || replace(s.id::text, '-', ''),
               'is not what was asked, or was approved by whoever asked'
        FROM debt_settlements AS s
        LEFT JOIN debt_requests AS q ON q.id = s.id
        LEFT JOIN callers AS a ON a.number = q.asked_by
        LEFT JOIN callers AS b ON b.number = s.approved_by
        WHERE ROW(s.recipient, s.kind, s.amount) IS DISTINCT FROM
              ROW(q.recipient, q.kind, q.amount) OR a.name = b.name
    """,
}
