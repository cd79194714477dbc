-- Reconciliation: what acquirers' money on the bank's statements pays for, what has not come, and
-- what becomes of everything that does not agree.

-- By what an acquirer's money is known, and how soon it is to come; the last row is in force.
CREATE TABLE arrival_terms (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    caller        integer NOT NULL REFERENCES callers,
    comes         text NOT NULL CHECK (comes IN ('by_report', 'by_payment', 'own')),
    payer_account text CHECK (length(payer_account) = 20),
    payer_inn     text CHECK (length(payer_inn) IN (10, 12)),
    contract      text CHECK (length(contract) BETWEEN 2 AND 64),
    fee           text NOT NULL CHECK (fee IN ('withheld', 'apart')),
    fee_ppm       integer CHECK (fee_ppm BETWEEN 0 AND 1000000),
    report_days   integer NOT NULL CHECK (report_days BETWEEN 1 AND 60),
    arrival_days  integer NOT NULL CHECK (arrival_days BETWEEN 1 AND 60),
    set_at        timestamptz NOT NULL,
    set_by        integer NOT NULL REFERENCES callers,
    CHECK (comes = 'own' OR payer_account IS NOT NULL OR payer_inn IS NOT NULL)
);
CREATE INDEX arrival_terms_by_caller ON arrival_terms (caller, number);
CREATE TRIGGER arrival_terms_are_added BEFORE UPDATE OR DELETE ON arrival_terms
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Lines of statements that are an acquirer's: money that came, and fees that it took apart. Of a
-- purpose only what names reports and operations is kept, for it has payers' telephones in it.
-- `identity` is the same for the same movement in whatever statement.
CREATE TABLE incoming_money (
    statement    uuid NOT NULL REFERENCES bank_statements,
    line         integer NOT NULL CHECK (line >= 1),
    caller       integer NOT NULL REFERENCES callers,
    is_fee       boolean NOT NULL,
    amount       bigint NOT NULL CHECK (amount > 0),
    booked_on    date NOT NULL,
    order_number text,
    order_date   date,
    operations   text[] NOT NULL,
    days         date[] NOT NULL,
    identity     bytea NOT NULL UNIQUE CHECK (length(identity) = 16),
    PRIMARY KEY (statement, line)
);
CREATE INDEX incoming_money_by_day ON incoming_money (booked_on);
CREATE TRIGGER incoming_money_is_added BEFORE UPDATE OR DELETE ON incoming_money
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Lines that together are, to the kopeck, what reports or payments together were to bring. Each
-- line is used once, each report and each payment arrives once.
CREATE TABLE arrivals (
    id     uuid PRIMARY KEY,
    caller integer NOT NULL REFERENCES callers,
    is_fee boolean NOT NULL,
    rule   text NOT NULL,
    at     timestamptz NOT NULL
);
CREATE TABLE arrival_lines (
    statement uuid NOT NULL,
    line      integer NOT NULL,
    arrival   uuid NOT NULL REFERENCES arrivals,
    amount    bigint NOT NULL CHECK (amount > 0),
    PRIMARY KEY (statement, line),
    FOREIGN KEY (statement, line) REFERENCES incoming_money
);
CREATE INDEX arrival_lines_by_arrival ON arrival_lines (arrival);
CREATE TABLE arrived_reports (
    report   uuid NOT NULL REFERENCES acquirer_reports,
    is_fee   boolean NOT NULL,
    arrival  uuid NOT NULL REFERENCES arrivals,
    amount   bigint NOT NULL CHECK (amount > 0),
    withheld bigint NOT NULL CHECK (withheld >= 0),
    PRIMARY KEY (report, is_fee)
);
CREATE INDEX arrived_reports_by_arrival ON arrived_reports (arrival);
CREATE TABLE arrived_payments (
    payment            uuid PRIMARY KEY,
    subscriber_account text NOT NULL,
    arrival            uuid NOT NULL REFERENCES arrivals,
    amount             bigint NOT NULL CHECK (amount > 0),
    withheld           bigint NOT NULL CHECK (withheld >= 0)
);
CREATE INDEX arrived_payments_by_arrival ON arrived_payments (arrival);
CREATE TRIGGER arrivals_are_added BEFORE UPDATE OR DELETE ON arrivals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER arrival_lines_are_added BEFORE UPDATE OR DELETE ON arrival_lines
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER arrived_reports_are_added BEFORE UPDATE OR DELETE ON arrived_reports
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER arrived_payments_are_added BEFORE UPDATE OR DELETE ON arrived_payments
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What had not happened when it was due. `place` is the kind's number, as an id shows it: 1 a
-- payment no report speaks of, 2 money that has not come, 3 a fee that is not the one agreed.
CREATE TABLE arrival_discrepancies (
    subject            uuid NOT NULL,
    place              integer NOT NULL CHECK (place BETWEEN 1 AND 3),
    caller             integer NOT NULL REFERENCES callers,
    subscriber_account text,
    amount             bigint NOT NULL CHECK (amount > 0),
    since              timestamptz NOT NULL,
    found_at           timestamptz NOT NULL,
    PRIMARY KEY (subject, place)
);
CREATE TRIGGER arrival_discrepancies_are_added BEFORE UPDATE OR DELETE ON arrival_discrepancies
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
-- Up to which payment each acquirer's were looked at, for reports and for money. No money itself.
CREATE TABLE arrival_marks (
    caller         integer PRIMARY KEY REFERENCES callers,
    reported_until uuid NOT NULL,
    arrived_until  uuid NOT NULL
);

-- What people do about a discrepancy: one says what became of it and by what document, another
-- confirms or rejects that. Nothing is ever taken back, only followed by another step.
CREATE TABLE discrepancy_steps (
    source          text NOT NULL CHECK (source IN ('report', 'statement', 'line', 'arrival')),
    document        uuid NOT NULL,
    place           integer NOT NULL,
    ordinal         integer NOT NULL CHECK (ordinal >= 1),
    step            text NOT NULL CHECK (step IN ('resolve', 'confirm', 'reject')),
    outcome         text NOT NULL CHECK (
        outcome IN ('explained', 'corrected', 'compensated', 'written_off')),
    evidence_name   text CHECK (length(evidence_name) BETWEEN 1 AND 160),
    evidence_number text CHECK (length(evidence_number) BETWEEN 1 AND 64),
    evidence_date   date,
    evidence_sha256 bytea CHECK (length(evidence_sha256) = 32),
    evidence_text   text CHECK (length(evidence_text) BETWEEN 1 AND 4000),
    reason          text CHECK (length(reason) BETWEEN 1 AND 500),
    at              timestamptz NOT NULL,
    caller          integer NOT NULL REFERENCES callers,
    PRIMARY KEY (source, document, place, ordinal),
    CHECK ((step = 'resolve') = (evidence_name IS NOT NULL AND evidence_number IS NOT NULL
           AND evidence_date IS NOT NULL
           AND (evidence_sha256 IS NOT NULL OR evidence_text IS NOT NULL))),
    CHECK ((step = 'reject') = (reason IS NOT NULL))
);
CREATE TRIGGER discrepancy_steps_are_added BEFORE UPDATE OR DELETE ON discrepancy_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The first report that speaks of a payment, or whose row made it.
CREATE FUNCTION report_of(payment uuid, account text, facts json) RETURNS uuid
LANGUAGE sql STABLE
RETURN coalesce(
    (SELECT r.report FROM reported_payments AS r
     WHERE r.payment = report_of.payment AND r.subscriber_account = report_of.account),
    substr(report_of.facts ->> 'report', 5)::uuid);

-- What of a report's money is to come to the account; null where its file tells no fee and the fee
-- is withheld.
CREATE FUNCTION money_due(amount numeric, transfer numeric, fee text) RETURNS numeric
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN fee = 'apart' THEN amount ELSE transfer END;

-- Everything that does not agree, whoever found it, as it stands now.
CREATE VIEW discrepancies AS
    WITH found AS (
        SELECT 'report' AS source, d.report AS document, d.place, d.kind,
               CASE WHEN d.kind = 'registry-only' THEN 'centre' ELSE 'acquirer' END AS side,
               d.amount, a.received_at AS since, a.caller, d.payment, d.report,
               NULL::uuid AS statement, NULL::integer AS line, NULL::uuid AS payout,
               d.kind = 'online-only' AND EXISTS (
                   SELECT FROM reported_payments AS r
                   WHERE r.payment = d.payment AND r.subscriber_account = d.subscriber_account)
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
                      OR d.place = 1 AND EXISTS (
                          SELECT FROM reported_payments AS r
                          WHERE r.payment = d.subject
                            AND r.subscriber_account = d.subscriber_account) END
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

-- How the money of one payment stands: its report, whether it has come, whether a person with a
-- document and another person have said that it need not be waited for. For a condition on `id`.
CREATE VIEW payment_arrivals AS
    SELECT p.id AS payment, p.caller, p.settlement_batch, p.total, w.report, t.comes,
           p.amount <= (SELECT coalesce(sum(f.amount), 0) FROM refunds AS f
                        WHERE f.payment = p.id) AS given_back,
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

-- What the audit finds wrong with arrivals: nothing where all holds.
CREATE VIEW arrivals_wrong AS
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
    JOIN arrivals AS a ON a.id = r.arrival
    JOIN acquirer_reports AS f ON f.id = r.report
    WHERE r.amount + r.withheld <> CASE WHEN r.is_fee THEN f.fee ELSE f.amount END
       OR f.caller <> a.caller OR r.is_fee <> a.is_fee OR f.finished_at IS NULL
    UNION ALL
    SELECT 'payment_arrived_wrong', 'pay_' || replace(q.payment::text, '-', ''),
           CASE WHEN p.id IS NULL THEN 'is no payment, and its money has come'
                WHEN w.report IS NOT NULL THEN 'has come by itself and by its report'
                ELSE 'came and was withheld is not what was paid, or is another acquirer''s' END
    FROM arrived_payments AS q
    JOIN arrivals AS a ON a.id = q.arrival
    LEFT JOIN payments AS p ON p.id = q.payment
    LEFT JOIN arrived_reports AS w ON NOT w.is_fee
        AND w.report = report_of(p.id, p.subscriber_account, p.facts)
    WHERE p.id IS NULL OR w.report IS NOT NULL OR q.amount + q.withheld <> p.total
       OR p.caller <> a.caller OR p.subscriber_account <> q.subscriber_account
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

-- Each sum is added up by itself, so that they can be held against each other. A share is of a
-- payout where its recipient was paid in its batch; where a position was negative nothing was paid.
CREATE FUNCTION day_sides(since uuid, first timestamptz, until timestamptz, only_one text)
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
    owed AS (
        SELECT m.caller,
               coalesce(sum(kopecks) FILTER (WHERE o.state = 'executed'), 0) AS paid_out,
               coalesce(sum(kopecks) FILTER (WHERE o.state IN ('approved', 'sent')), 0)
                   AS in_transit,
               coalesce(sum(kopecks) FILTER (WHERE o.state IS NULL
                   OR o.state NOT IN ('executed', 'approved', 'sent')), 0) AS not_paid
        FROM moved AS m LEFT JOIN payouts AS o
            ON o.settlement_batch = m.settlement_batch AND o.recipient = m.recipient
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
