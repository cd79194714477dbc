-- Reconciliation follows money that waited, or came back, to the payout that paid it at last; and
-- what was charged back is no more waited for than what was refunded.

-- What a payment's payer, or the payer's bank, has back of it.
CREATE FUNCTION given_back(whose uuid) RETURNS numeric
LANGUAGE sql STABLE
RETURN (SELECT coalesce(sum(f.amount), 0) FROM refunds AS f WHERE f.payment = whose)
     + (SELECT coalesce(sum(c.amount), 0) FROM chargebacks AS c WHERE c.payment = whose)
     - (SELECT coalesce(sum(r.amount), 0) FROM chargeback_reversals AS r WHERE r.payment = whose);

-- How the money of one payment stands: its report, whether it has come, whether a person with a
-- document and another person have said that it need not be waited for. For a condition on `id`.
CREATE OR REPLACE VIEW payment_arrivals AS
    SELECT p.id AS payment, p.caller, p.settlement_batch, p.total, w.report, t.comes,
           p.amount <= given_back(p.id) AS given_back,
           coalesce(t.comes = 'own', false)
               OR EXISTS (SELECT FROM arrived_payments AS a WHERE a.payment = p.id)
               OR EXISTS (SELECT FROM arrived_reports AS a
                          WHERE a.report = w.report AND NOT a.is_fee) AS arrived,
           EXISTS (SELECT FROM discrepancy_steps AS s
                   WHERE s.source = 'arrival' AND s.document IN (p.id, w.report)
                     AND s.step = 'confirm' AND s.outcome IN ('compensated', 'written_off'))
               OR EXISTS (SELECT FROM report_discrepancies AS d
                          JOIN discrepancy_steps AS s ON s.source = 'report'
                               AND s.document = d.report AND s.place = d.place
                          WHERE d.payment = p.id AND s.step = 'confirm'
                            AND d.kind IN ('online-only', 'sum-differs', 'account-differs')
                            AND s.outcome IN ('compensated', 'written_off')) AS released
    FROM payments AS p
    CROSS JOIN LATERAL (SELECT report_of(p.id, p.subscriber_account, p.facts) AS report) AS w
    LEFT JOIN LATERAL (SELECT x.comes FROM arrival_terms AS x WHERE x.caller = p.caller
                       ORDER BY x.number DESC LIMIT 1) AS t ON true;

-- How the last payout stands that was to pay a recipient's position in a batch: its own, or that of
-- a later batch, where it waited for its minimum, or its payout came back or was cancelled. Null
-- where there was none.
CREATE FUNCTION last_payout_state(batch integer, whose integer) RETURNS text
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE way AS (
        SELECT batch AS number
        UNION
        SELECT n.number FROM way CROSS JOIN LATERAL (
            SELECT min(p.settlement_batch) FROM positions AS p
            WHERE p.recipient = whose AND p.settlement_batch > way.number AND EXISTS (
                SELECT FROM positions AS q WHERE q.recipient = whose
                    AND q.settlement_batch = way.number AND q.carried_out > 0)
            UNION ALL
            SELECT m.settlement_batch FROM returned_money AS m
            WHERE m.from_batch = way.number AND m.recipient = whose) AS n (number)
        WHERE n.number IS NOT NULL)
    SELECT o.state FROM payouts AS o JOIN way ON way.number = o.settlement_batch
    WHERE o.recipient = whose ORDER BY o.settlement_batch DESC LIMIT 1
$$;

-- Each sum is added up by itself, so that they can be held against each other. A share is of the
-- payout that paid its batch's position; where a position was negative nothing was paid.
CREATE OR REPLACE FUNCTION day_sides(
    since uuid, first timestamptz, until timestamptz, only_one text)
RETURNS TABLE (
    acquirer text, payments bigint, online bigint, by_report_alone bigint, reported bigint,
    not_reported bigint, arrived bigint, not_arrived bigint, paid_out bigint, in_transit bigint,
    not_paid bigint, commission bigint, surcharge bigint, suspense bigint, refunded bigint)
LANGUAGE sql STABLE AS $$
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
    GROUP BY c.name
$$;
