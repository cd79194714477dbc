-- Acquirers' reports and reconciliation as Citus can plan them: payments meet their reports on
-- their own shard, and what is asked for by id or number goes to all of them at once.

CREATE OR REPLACE FUNCTION known_by_number(
    by_caller integer, operations text[], accounts text[], totals bigint[])
RETURNS SETOF known_payment
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT f.place::integer, f.id, f.subscriber_account, f.total, coalesce(f.report, f.made),
               f.digest, coalesce(f.row_number, f.made_row), f.made IS NOT NULL, f.paid_at
        FROM (
            SELECT u.place, q.id, q.subscriber_account, q.total, q.paid_at, r.report, r.row_number,
                   a.digest, substr(q.facts ->> 'report', 5)::uuid AS made,
                   (q.facts ->> 'row')::integer AS made_row,
                   row_number() OVER (
                       PARTITION BY u.place
                       ORDER BY (q.subscriber_account = u.account)::integer
                                + (q.total = u.total)::integer DESC, q.id DESC) AS likely
            FROM unnest(operations, accounts, totals) WITH ORDINALITY
                 AS u (operation, account, total, place)
            JOIN payments AS q
                ON q.reference COLLATE "C" = u.operation AND q.caller = by_caller
            LEFT JOIN reported_payments AS r
                ON r.payment = q.id AND r.subscriber_account = q.subscriber_account
            LEFT JOIN acquirer_reports AS a
                ON a.id = coalesce(r.report, substr(q.facts ->> 'report', 5)::uuid)) AS f
        WHERE f.likely <= 8
        ORDER BY f.place, f.likely;
END
$$;

CREATE OR REPLACE FUNCTION known_by_account(
    by_caller integer, accounts text[], totals bigint[], paid_from timestamptz[],
    paid_until timestamptz[], numbered boolean, since uuid)
RETURNS SETOF known_payment
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT f.place::integer, f.id, f.subscriber_account, f.total, coalesce(f.report, f.made),
               f.digest, coalesce(f.row_number, f.made_row), f.made IS NOT NULL, f.paid_at
        FROM (
            SELECT u.place, q.id, q.subscriber_account, q.total, q.paid_at, r.report, r.row_number,
                   a.digest, substr(q.facts ->> 'report', 5)::uuid AS made,
                   (q.facts ->> 'row')::integer AS made_row,
                   row_number() OVER (PARTITION BY u.place ORDER BY q.id) AS found
            FROM unnest(accounts, totals, paid_from, paid_until) WITH ORDINALITY
                 AS u (account, total, paid_from, paid_until, place)
            JOIN payments AS q
                ON q.subscriber_account = u.account AND q.total = u.total
               AND q.caller = by_caller AND q.id >= since
               AND (numbered OR q.reference IS NULL)
               AND coalesce(q.paid_at, q.accepted_at) >= u.paid_from
               AND coalesce(q.paid_at, q.accepted_at) < u.paid_until
            LEFT JOIN reported_payments AS r
                ON r.payment = q.id AND r.subscriber_account = q.subscriber_account
            LEFT JOIN acquirer_reports AS a
                ON a.id = coalesce(r.report, substr(q.facts ->> 'report', 5)::uuid)
            WHERE q.subscriber_account = ANY (accounts)) AS f
        WHERE f.found <= 64;
END
$$;

CREATE OR REPLACE VIEW payment_arrivals AS
    SELECT p.id AS payment, p.caller, p.settlement_batch, p.total, p.report, p.comes,
           p.amount <= p.back AS given_back,
           coalesce(p.comes = 'own', false)
               OR EXISTS (SELECT FROM arrived_payments AS a WHERE a.payment = p.id)
               OR EXISTS (SELECT FROM arrived_reports AS a
                          WHERE a.report = p.report AND NOT a.is_fee) AS arrived,
           EXISTS (SELECT FROM discrepancy_steps AS s
                   WHERE s.source = 'arrival' AND s.document IN (p.id, p.report)
                     AND s.step = 'confirm' AND s.outcome IN ('compensated', 'written_off'))
               OR EXISTS (SELECT FROM report_discrepancies AS d
                          JOIN discrepancy_steps AS s ON s.source = 'report'
                               AND s.document = d.report AND s.place = d.place
                          WHERE d.payment = p.id AND s.step = 'confirm'
                            AND d.kind IN ('online-only', 'sum-differs', 'account-differs')
                            AND s.outcome IN ('compensated', 'written_off')) AS released
    FROM (
        SELECT q.id, q.caller, q.settlement_batch, q.total, q.amount, q.subscriber_account,
               coalesce(r.report, substr(q.facts ->> 'report', 5)::uuid) AS report,
               (SELECT x.comes FROM arrival_terms AS x WHERE x.caller = q.caller
                ORDER BY x.number DESC LIMIT 1) AS comes,
               (SELECT coalesce(sum(f.amount), 0) FROM refunds AS f WHERE f.payment = q.id)
               + (SELECT coalesce(sum(c.amount), 0) FROM chargebacks AS c WHERE c.payment = q.id)
               - (SELECT coalesce(sum(v.amount), 0) FROM chargeback_reversals AS v
                  WHERE v.payment = q.id) AS back
        FROM payments AS q
        LEFT JOIN reported_payments AS r
            ON r.payment = q.id AND r.subscriber_account = q.subscriber_account) AS p;

CREATE OR REPLACE VIEW discrepancies AS
    -- Payments of discrepancies that a report speaks of, found on their own shards.
    WITH spoken AS MATERIALIZED (
        SELECT r.payment FROM reported_payments AS r
        JOIN report_discrepancies AS d
            ON d.payment = r.payment AND d.subscriber_account = r.subscriber_account
        WHERE d.kind = 'online-only'
        UNION
        SELECT r.payment FROM reported_payments AS r
        JOIN arrival_discrepancies AS d
            ON d.subject = r.payment AND d.subscriber_account = r.subscriber_account
        WHERE d.place = 1),
    found AS (
        SELECT 'report' AS source, d.report AS document, d.place, d.kind,
               CASE WHEN d.kind = 'registry-only' THEN 'centre' ELSE 'acquirer' END AS side,
               d.amount, a.received_at AS since, a.caller, d.payment, d.report,
               NULL::uuid AS statement, NULL::integer AS line, NULL::uuid AS payout,
               d.kind = 'online-only' AND d.payment IN (SELECT s.payment FROM spoken AS s)
                   AS settled
        FROM report_discrepancies AS d JOIN acquirer_reports AS a ON a.id = d.report
        WHERE a.finished_at IS NOT NULL
        UNION ALL
        SELECT 'statement', d.statement, d.line, d.kind,
               CASE WHEN d.kind = 'unknown-return' THEN 'recipient'
                    WHEN d.kind IN ('unknown-credit', 'unknown-debit') THEN 'centre'
                    ELSE 'bank' END,
               d.amount, s.taken_at, NULL, NULL, NULL, d.statement, d.line, d.payout, false
        FROM statement_discrepancies AS d JOIN bank_statements AS s ON s.id = d.statement
        UNION ALL
        SELECT 'line', m.statement, m.line,
               CASE WHEN m.is_fee THEN 'fee-differs'
                    WHEN r.amount IS NULL THEN 'money-without-report'
                    WHEN m.amount < r.amount THEN 'fee-differs'
                    ELSE 'sum-differs' END,
               'acquirer', m.amount, s.taken_at, m.caller, NULL, r.id, m.statement, m.line, NULL,
               l.arrival IS NOT NULL
        FROM incoming_money AS m
        JOIN bank_statements AS s ON s.id = m.statement
        LEFT JOIN arrival_lines AS l ON l.statement = m.statement AND l.line = m.line
        LEFT JOIN LATERAL (
            SELECT a.id, a.amount FROM acquirer_reports AS a
            WHERE a.caller = m.caller AND a.order_number = m.order_number
              AND a.order_date = m.order_date AND a.finished_at IS NOT NULL
            ORDER BY a.id LIMIT 1) AS r ON true
        WHERE l.arrival IS NULL OR EXISTS (
            SELECT FROM discrepancy_steps AS t
            WHERE t.source = 'line' AND t.document = m.statement AND t.place = m.line)
        UNION ALL
        SELECT 'arrival', d.subject, d.place,
               (ARRAY['not-reported', 'money-not-arrived', 'fee-differs'])[d.place],
               'acquirer', d.amount, d.since, d.caller,
               CASE WHEN d.subscriber_account IS NOT NULL THEN d.subject END,
               CASE WHEN d.subscriber_account IS NULL THEN d.subject END, NULL, NULL, NULL,
               CASE WHEN d.place = 3 THEN false
                    WHEN d.subscriber_account IS NULL
                    THEN EXISTS (SELECT FROM arrived_reports AS r
                                 WHERE r.report = d.subject AND NOT r.is_fee)
                    ELSE EXISTS (SELECT FROM arrived_payments AS p WHERE p.payment = d.subject)
                      OR d.place = 1 AND d.subject IN (SELECT s.payment FROM spoken AS s) END
        FROM arrival_discrepancies AS d)
    SELECT f.*, coalesce(t.ordinal, 0) AS steps, t.outcome,
           CASE WHEN t.step = 'confirm' THEN 'resolved'
                WHEN f.settled THEN 'settled'
                WHEN t.step = 'resolve' THEN 'proposed'
                ELSE 'open' END AS state
    FROM found AS f
    LEFT JOIN LATERAL (
        SELECT x.ordinal, x.step, x.outcome FROM discrepancy_steps AS x
        WHERE x.source = f.source AND x.document = f.document AND x.place = f.place
        ORDER BY x.ordinal DESC LIMIT 1) AS t ON true;

CREATE OR REPLACE VIEW arrivals_wrong AS
    -- Payments whose money has come by a line a payment, found on their own shards.
    WITH there AS MATERIALIZED (
        SELECT p.id, p.total, p.caller, p.subscriber_account,
               coalesce(r.report, substr(p.facts ->> 'report', 5)::uuid) AS report
        FROM payments AS p
        JOIN arrived_payments AS q ON q.payment = p.id
        LEFT JOIN reported_payments AS r
            ON r.payment = p.id AND r.subscriber_account = p.subscriber_account)
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
    LEFT JOIN there AS p ON p.id = q.payment
    LEFT JOIN arrived_reports AS w ON NOT w.is_fee AND w.report = p.report
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

CREATE OR REPLACE FUNCTION acquirer_fees(batch integer)
RETURNS TABLE (acquirer text, channel smallint, payments bigint, total numeric, fee numeric)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH cells AS MATERIALIZED (
        SELECT v.acquirer, v.valid_from, v.terms_version, v.begins_at, v.ends_at, t.channel,
               t.below_ppm, t.below_fixed, t.below_min, t.below_max
        FROM approved_agreements AS v LEFT JOIN agreement_tariffs AS t ON t.agreement = v.agreement
        WHERE v.acquirer IS NOT NULL)
    SELECT p.acquirer, p.method, count(*), sum(p.total),
           sum(CASE WHEN f.below_ppm IS NOT NULL AND (f.channel IS NULL OR f.channel = p.method)
               THEN least(greatest(floor((p.total * f.below_ppm + 500000) / 1000000)
                                   + f.below_fixed, f.below_min), coalesce(f.below_max, p.total),
                          p.total)
               ELSE 0 END)
    FROM (SELECT coalesce(a.acquirer, c.name) AS acquirer, p.method, p.total::numeric AS total,
                 p.terms_version, p.accepted_at
          FROM payments AS p
          JOIN callers AS c ON c.number = p.caller
          LEFT JOIN authorisations AS a ON a.id = p.id
          WHERE p.settlement_batch = batch) AS p
    LEFT JOIN LATERAL (
        SELECT * FROM cells AS e
        WHERE e.acquirer = p.acquirer AND e.terms_version <= p.terms_version
          AND e.begins_at <= p.accepted_at AND (e.ends_at IS NULL OR e.ends_at > p.accepted_at)
        -- The version in force, and of its cells the one that fits best.
        ORDER BY e.valid_from DESC, e.terms_version DESC,
                 CASE WHEN e.channel = p.method THEN 0 WHEN e.channel IS NULL THEN 1 ELSE 2 END
        LIMIT 1) AS f ON true
    GROUP BY p.acquirer, p.method ORDER BY p.acquirer, p.method;
END
$$;

CREATE OR REPLACE FUNCTION day_sides(
    since uuid, first timestamptz, until timestamptz, only_one text)
RETURNS TABLE (
    acquirer text, payments bigint, online bigint, by_report_alone bigint, reported bigint,
    not_reported bigint, arrived bigint, not_arrived bigint, paid_out bigint, in_transit bigint,
    not_paid bigint, commission bigint, surcharge bigint, suspense bigint, refunded bigint)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH mine AS MATERIALIZED (
        SELECT p.id, p.caller, p.total, p.surcharge, p.amount, p.bill IS NULL AS suspended,
               p.facts ->> 'report' IS NULL AS online, a.report IS NOT NULL AS reported, a.arrived
        FROM payments AS p JOIN payment_arrivals AS a ON a.payment = p.id
        WHERE p.id >= since AND coalesce(p.paid_at, p.accepted_at) >= first
          AND coalesce(p.paid_at, p.accepted_at) < until AND (only_one IS NULL OR p.caller = (
              SELECT c.number FROM callers AS c WHERE c.name = only_one AND c.role = 'acquirer'))),
    moved AS (
        SELECT m.caller, s.settlement_batch, s.recipient, sum(s.amount_kopecks)::bigint AS kopecks
        FROM mine AS m JOIN shares AS s ON s.payment = m.id GROUP BY 1, 2, 3
        UNION ALL
        SELECT m.caller, c.settlement_batch, c.recipient, -sum(c.commission_kopecks)::bigint
        FROM mine AS m JOIN commissions AS c ON c.payment = m.id GROUP BY 1, 2, 3),
    paid AS (
        SELECT d.settlement_batch, d.recipient,
               last_payout_state(d.settlement_batch, d.recipient) AS state
        FROM (SELECT DISTINCT settlement_batch, recipient FROM moved) AS d),
    owed AS (
        SELECT m.caller,
               coalesce(sum(kopecks) FILTER (WHERE o.state = 'executed'), 0) AS paid_out,
               coalesce(sum(kopecks) FILTER (WHERE o.state IN ('approved', 'sent')), 0)
                   AS in_transit,
               coalesce(sum(kopecks) FILTER (WHERE o.state IS NULL
                   OR o.state NOT IN ('executed', 'approved', 'sent')), 0) AS not_paid
        FROM moved AS m JOIN paid AS o USING (settlement_batch, recipient)
        GROUP BY m.caller),
    kept AS (
        SELECT m.caller, sum(c.commission_kopecks) AS commission
        FROM mine AS m JOIN commissions AS c ON c.payment = m.id GROUP BY 1),
    back AS (
        SELECT m.caller, sum(f.amount) AS refunded
        FROM mine AS m
        JOIN (SELECT payment, amount FROM refunds
              UNION ALL SELECT payment, amount FROM chargebacks
              UNION ALL SELECT payment, -amount FROM chargeback_reversals) AS f
            ON f.payment = m.id GROUP BY 1),
    held AS (
        SELECT m.caller, sum(m.amount - (SELECT coalesce(sum(f.kopecks), 0) FROM from_suspense AS f
                                         WHERE f.payment = m.id)) AS amount
        FROM mine AS m
        WHERE m.suspended AND NOT EXISTS (SELECT FROM resolutions AS r WHERE r.payment = m.id)
        GROUP BY 1)
    SELECT c.name AS acquirer, count(*) AS payments,
           coalesce(sum(m.total) FILTER (WHERE m.online), 0)::bigint AS online,
           coalesce(sum(m.total) FILTER (WHERE NOT m.online), 0)::bigint AS by_report_alone,
           coalesce(sum(m.total) FILTER (WHERE m.reported), 0)::bigint AS reported,
           coalesce(sum(m.total) FILTER (WHERE NOT m.reported), 0)::bigint AS not_reported,
           coalesce(sum(m.total) FILTER (WHERE m.arrived), 0)::bigint AS arrived,
           coalesce(sum(m.total) FILTER (WHERE NOT m.arrived), 0)::bigint AS not_arrived,
           coalesce(max(o.paid_out), 0)::bigint AS paid_out,
           coalesce(max(o.in_transit), 0)::bigint AS in_transit,
           coalesce(max(o.not_paid), 0)::bigint AS not_paid,
           coalesce(max(k.commission), 0)::bigint AS commission,
           sum(m.surcharge)::bigint AS surcharge,
           coalesce(max(h.amount), 0)::bigint AS suspense,
           coalesce(max(b.refunded), 0)::bigint AS refunded
    FROM mine AS m JOIN callers AS c ON c.number = m.caller
    LEFT JOIN owed AS o ON o.caller = m.caller LEFT JOIN kept AS k ON k.caller = m.caller
    LEFT JOIN back AS b ON b.caller = m.caller LEFT JOIN held AS h ON h.caller = m.caller
    GROUP BY c.name;
END
$$;

-- Of each account all bills before the moment are read on its shard, and the last is kept.
CREATE OR REPLACE FUNCTION payers_before(accounts text[], moment timestamptz)
RETURNS TABLE (account text, payer jsonb)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT b.subscriber_account, b.payer
        FROM (SELECT DISTINCT ON (o.subscriber_account) o.subscriber_account, o.payer
              FROM bills AS o
              WHERE o.subscriber_account = ANY (accounts) AND o.loaded_at <= moment
              ORDER BY o.subscriber_account, o.number DESC) AS b
        WHERE b.payer IS NOT NULL;
END
$$;
