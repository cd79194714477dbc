-- The audit names what has come of a report, or by an arrival, that is not there: keys of tables
-- keep it so, and whoever may change rows may let go of keys.

CREATE OR REPLACE VIEW arrivals_wrong AS
    SELECT 'arrival_unbalanced' AS rule, 'arrival ' || a.id AS row,
           'what its lines brought is not what arrived by it' AS detail
    FROM arrivals AS a
    WHERE (SELECT coalesce(sum(l.amount), 0) FROM arrival_lines AS l WHERE l.arrival = a.id)
       <> (SELECT coalesce(sum(r.amount), 0) FROM arrived_reports AS r WHERE r.arrival = a.id)
        + (SELECT coalesce(sum(p.amount), 0) FROM arrived_payments AS p WHERE p.arrival = a.id)
       OR NOT EXISTS (SELECT FROM arrival_lines AS l WHERE l.arrival = a.id)
    UNION ALL
    SELECT 'arrival_line_wrong',
           'line ' || l.line || ' of bst_' || replace(l.statement::text, '-', ''),
           'is not the sum, the acquirer or the kind of its arrival'
    FROM arrival_lines AS l
    LEFT JOIN incoming_money AS m ON m.statement = l.statement AND m.line = l.line
    LEFT JOIN arrivals AS a ON a.id = l.arrival
    WHERE m.amount IS DISTINCT FROM l.amount OR m.caller IS DISTINCT FROM a.caller
       OR m.is_fee IS DISTINCT FROM a.is_fee
    UNION ALL
    SELECT 'incoming_exceeds_statement', 'bst_' || replace(s.id::text, '-', ''),
           'more is kept as come or taken than the statement tells'
    FROM bank_statements AS s
    JOIN incoming_money AS m ON m.statement = s.id
    GROUP BY s.id, s.debits, s.credits, s.line_count
    HAVING coalesce(sum(m.amount) FILTER (WHERE NOT m.is_fee), 0) > s.credits
        OR coalesce(sum(m.amount) FILTER (WHERE m.is_fee), 0) > s.debits
        OR max(m.line) > s.line_count
    UNION ALL
    SELECT 'report_arrived_wrong', 'rep_' || replace(r.report::text, '-', ''),
           'came and was withheld is not what its file tells, or is another acquirer''s'
    FROM arrived_reports AS r
    LEFT JOIN arrivals AS a ON a.id = r.arrival
    LEFT JOIN acquirer_reports AS f ON f.id = r.report
    WHERE f.id IS NULL OR a.id IS NULL
       OR r.amount + r.withheld <> CASE WHEN r.is_fee THEN f.fee ELSE f.amount END
       OR f.caller <> a.caller OR r.is_fee <> a.is_fee OR f.finished_at IS NULL
    UNION ALL
    SELECT 'payment_arrived_wrong', 'pay_' || replace(q.payment::text, '-', ''),
           CASE WHEN p.id IS NULL THEN 'is no payment, and its money has come'
                WHEN w.report IS NOT NULL THEN 'has come by itself and by its report'
                ELSE 'came and was withheld is not what was paid, or is another acquirer''s' END
    FROM arrived_payments AS q
    LEFT JOIN arrivals AS a ON a.id = q.arrival
    LEFT JOIN payments AS p ON p.id = q.payment
    LEFT JOIN arrived_reports AS w ON NOT w.is_fee
        AND w.report = report_of(p.id, p.subscriber_account, p.facts)
    WHERE p.id IS NULL OR w.report IS NOT NULL OR q.amount + q.withheld <> p.total
       OR p.caller IS DISTINCT FROM a.caller OR p.subscriber_account <> q.subscriber_account
    UNION ALL
    SELECT 'resolution_by_one_person', 'step ' || s.ordinal || ' of ' || s.source || ' '
                                       || s.document || ' ' || s.place,
           'was decided by whoever resolved it, or follows nothing'
    FROM discrepancy_steps AS s
    JOIN callers AS c ON c.number = s.caller
    LEFT JOIN discrepancy_steps AS e ON e.source = s.source AND e.document = s.document
        AND e.place = s.place AND e.ordinal = s.ordinal - 1
    LEFT JOIN callers AS d ON d.number = e.caller
    WHERE s.step <> 'resolve'
      AND (e.step IS DISTINCT FROM 'resolve' OR d.name = c.name OR e.outcome <> s.outcome);
