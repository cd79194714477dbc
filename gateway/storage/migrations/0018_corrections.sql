-- What becomes of money after it was split: corrections (it was meant otherwise), chargebacks (the
-- bank took it back) and their reversals, and debts of recipients that nothing nets. Always new
-- rows: what was split before stays as it was.

-- "It was meant otherwise": from account to account, service to service, or period to period.
CREATE TABLE corrections (
    id                 uuid PRIMARY KEY,
    payment            uuid NOT NULL,
    at                 timestamptz NOT NULL,
    caller             integer NOT NULL REFERENCES callers,
    settlement_batch   integer NOT NULL,
    subscriber_account text NOT NULL CHECK (length(subscriber_account) BETWEEN 1 AND 30),
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    -- What was asked: which account and services it is taken from, and what it is meant for now.
    asked              json NOT NULL,
    reason             text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    document           text NOT NULL CHECK (length(document) BETWEEN 1 AND 200)
);
CREATE INDEX corrections_by_payment ON corrections (payment);
CREATE INDEX corrections_by_batch ON corrections (settlement_batch);

-- The bank took the money back from us. `acquirer` is the caller whose payment it was: a case has
-- one number there, and is booked once.
CREATE TABLE chargebacks (
    id                 uuid PRIMARY KEY,
    payment            uuid NOT NULL,
    at                 timestamptz NOT NULL,
    caller             integer NOT NULL REFERENCES callers,
    settlement_batch   integer NOT NULL,
    subscriber_account text NOT NULL CHECK (length(subscriber_account) BETWEEN 1 AND 30),
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    -- Out of suspense it is whole; else its moves say whose it was.
    suspended          boolean NOT NULL,
    acquirer           integer NOT NULL REFERENCES callers,
    case_id            text NOT NULL CHECK (length(case_id) BETWEEN 1 AND 64),
    reason_code        text NOT NULL CHECK (length(reason_code) BETWEEN 1 AND 16),
    UNIQUE (acquirer, case_id)
);
CREATE INDEX chargebacks_by_payment ON chargebacks (payment);
CREATE INDEX chargebacks_by_batch ON chargebacks (settlement_batch);

-- A chargeback that was won, whole or in part: the bank gave the money back.
CREATE TABLE chargeback_reversals (
    id                 uuid PRIMARY KEY,
    chargeback         uuid NOT NULL REFERENCES chargebacks,
    payment            uuid NOT NULL,
    at                 timestamptz NOT NULL,
    caller             integer NOT NULL REFERENCES callers,
    settlement_batch   integer NOT NULL,
    subscriber_account text NOT NULL CHECK (length(subscriber_account) BETWEEN 1 AND 30),
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    suspended          boolean NOT NULL,
    document           text NOT NULL CHECK (length(document) BETWEEN 1 AND 200)
);
CREATE INDEX chargeback_reversals_by_payment ON chargeback_reversals (payment);
CREATE INDEX chargeback_reversals_by_batch ON chargeback_reversals (settlement_batch);

-- The moves of these, and of refunds of payments that were corrected: what is taken (sign -1) from
-- a lot, or given (1). A lot is money that was split once: the payment itself (its id), or a move
-- that gave (its own id). Each move is one event of its account, so it has a sequence; on bills it
-- counts as `counts_as`, which is another where only the period changed. `terms_version` and
-- `designation` are of moves that were split by a bill.
CREATE TABLE moves (
    number             bigint GENERATED ALWAYS AS IDENTITY,
    id                 uuid NOT NULL,
    entry              uuid NOT NULL,
    kind               text NOT NULL CHECK (kind IN
        ('refund', 'correction', 'chargeback', 'reversal')),
    sign               smallint NOT NULL CHECK (sign IN (-1, 1)),
    payment            uuid NOT NULL,
    lot                uuid NOT NULL,
    at                 timestamptz NOT NULL,
    caller             integer NOT NULL,
    settlement_batch   integer NOT NULL,
    subscriber_account text NOT NULL CHECK (length(subscriber_account) BETWEEN 1 AND 30),
    sequence           integer NOT NULL CHECK (sequence >= 1),
    counts_as          integer NOT NULL CHECK (counts_as BETWEEN 1 AND sequence),
    bill               bigint NOT NULL,
    plan               integer NOT NULL,
    period             text NOT NULL CHECK (length(period) = 7),
    terms_version      bigint,
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    commission         bigint NOT NULL CHECK (commission BETWEEN 0 AND amount),
    shares             bytea NOT NULL CHECK (packed_sum(shares) = amount),
    commissions        bytea CHECK (packed_sum(commissions) = commission),
    designation        json,
    PRIMARY KEY (id, subscriber_account),
    CHECK ((commissions IS NULL) = (commission = 0)),
    CHECK (sign = CASE kind WHEN 'refund' THEN -1 WHEN 'chargeback' THEN -1 WHEN 'reversal' THEN 1
                            ELSE sign END),
    CHECK (lot <> id OR sign = 1),
    CHECK (terms_version IS NULL OR lot = id)
);
CREATE INDEX moves_by_payment ON moves (payment, number);
CREATE INDEX moves_by_batch ON moves (settlement_batch);
CREATE INDEX moves_by_account ON moves (subscriber_account, sequence);
CREATE INDEX moves_by_entry ON moves (entry);

-- A recipient that owes us and is paid too little for it to be netted: what it is asked to be let
-- off, or what it paid in, by one person, and what another approved.
CREATE TABLE debt_requests (
    id        uuid PRIMARY KEY,
    recipient integer NOT NULL REFERENCES recipients,
    kind      text NOT NULL CHECK (kind IN ('paid_in', 'written_off')),
    amount    bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    reason    text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    document  text NOT NULL CHECK (length(document) BETWEEN 1 AND 200),
    asked_at  timestamptz NOT NULL,
    asked_by  integer NOT NULL REFERENCES callers
);
CREATE TABLE debt_settlements (
    id               uuid PRIMARY KEY REFERENCES debt_requests,
    recipient        integer NOT NULL REFERENCES recipients,
    kind             text NOT NULL CHECK (kind IN ('paid_in', 'written_off')),
    amount           bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    approved_at      timestamptz NOT NULL,
    approved_by      integer NOT NULL REFERENCES callers,
    settlement_batch integer NOT NULL
);
CREATE INDEX debt_settlements_by_batch ON debt_settlements (settlement_batch);
-- A run of batches with a debt begins where there is one and none was carried in.
CREATE INDEX positions_in_debt ON positions (recipient, settlement_batch) WHERE carried_out < 0;

CREATE TRIGGER corrections_are_added BEFORE UPDATE OR DELETE ON corrections
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER chargebacks_are_added BEFORE UPDATE OR DELETE ON chargebacks
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER chargeback_reversals_are_added BEFORE UPDATE OR DELETE ON chargeback_reversals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER moves_are_added BEFORE UPDATE OR DELETE ON moves
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER debt_requests_are_added BEFORE UPDATE OR DELETE ON debt_requests
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER debt_settlements_are_added BEFORE UPDATE OR DELETE ON debt_settlements
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Where money leaves a recipient whose commission came back with it, a batch may keep less
-- commission than it gave back.
ALTER TABLE positions DROP CONSTRAINT positions_check;

-- `refund` is what took the money back, whatever that was; `entry` is of moves alone.
CREATE OR REPLACE VIEW shares AS
    SELECT a.payment, NULL::uuid AS refund, a.subscriber_account, a.settlement_batch, a.at,
           a.bill, s.place, part.charge, part.service, part.recipient,
           s.kopecks AS amount_kopecks, NULL::uuid AS entry
    FROM allocations AS a
    CROSS JOIN LATERAL unpack(a.shares) AS s
    JOIN split_plan_parts AS part ON part.plan = a.plan AND part.place = s.place
    WHERE s.kopecks > 0
    UNION ALL
    SELECT r.payment, r.id, r.subscriber_account, r.settlement_batch, r.refunded_at,
           NULL, s.place, part.charge, part.service, part.recipient, -s.kopecks, NULL
    FROM refunds AS r
    CROSS JOIN LATERAL unpack(r.shares) AS s
    JOIN split_plan_parts AS part ON part.plan = r.plan AND part.place = s.place
    WHERE s.kopecks > 0
    UNION ALL
    SELECT l.payment, CASE WHEN l.sign < 0 THEN l.entry END, l.subscriber_account,
           l.settlement_batch, l.at, l.bill, s.place, part.charge, part.service, part.recipient,
           l.sign * s.kopecks, l.entry
    FROM moves AS l
    CROSS JOIN LATERAL unpack(l.shares) AS s
    JOIN split_plan_parts AS part ON part.plan = l.plan AND part.place = s.place
    WHERE s.kopecks > 0;

CREATE OR REPLACE VIEW commissions AS
    SELECT a.payment, a.subscriber_account, a.settlement_batch, r.recipient,
           c.kopecks AS commission_kopecks
    FROM allocations AS a
    CROSS JOIN LATERAL unpack(a.commissions) AS c
    JOIN split_plan_recipients AS r ON r.plan = a.plan AND r.place = c.place
    WHERE c.kopecks > 0
    UNION ALL
    SELECT l.payment, l.subscriber_account, l.settlement_batch, r.recipient, l.sign * c.kopecks
    FROM moves AS l
    CROSS JOIN LATERAL unpack(l.commissions) AS c
    JOIN split_plan_recipients AS r ON r.plan = l.plan AND r.place = c.place
    WHERE c.kopecks > 0;

-- What left a payment's suspense again but for its account: refunds that are of no lot, chargebacks
-- less what was won of them.
CREATE VIEW from_suspense AS
    SELECT f.payment, f.amount AS kopecks FROM refunds AS f
    WHERE f.shares IS NULL AND NOT EXISTS (SELECT FROM moves AS l WHERE l.entry = f.id)
    UNION ALL
    SELECT payment, amount FROM chargebacks WHERE suspended
    UNION ALL
    SELECT payment, -amount FROM chargeback_reversals WHERE suspended;

-- Double entry with all of these: a correction moves money through `corrections`, which is left
-- with nothing; a refund of a corrected payment is taken from its lots into suspense, and leaves
-- from there.
CREATE OR REPLACE VIEW ledger AS
    SELECT settlement_batch, 'acquirer' AS ledger_account, total AS debit_kopecks,
           0::bigint AS credit_kopecks FROM payments
    UNION ALL
    SELECT settlement_batch, 'surcharge', 0, surcharge FROM payments
    UNION ALL
    SELECT settlement_batch, 'suspense', 0, amount FROM payments WHERE bill IS NULL
    UNION ALL
    SELECT settlement_batch, 'suspense', amount, 0 FROM resolutions
    UNION ALL
    SELECT settlement_batch, 'recipients', coalesce(packed_sum(commissions), 0),
           packed_sum(shares) FROM allocations
    UNION ALL
    SELECT settlement_batch, 'commission', 0, coalesce(packed_sum(commissions), 0)
    FROM allocations
    UNION ALL
    SELECT settlement_batch, CASE WHEN shares IS NULL THEN 'suspense' ELSE 'recipients' END,
           coalesce(packed_sum(shares), amount), 0 FROM refunds
    UNION ALL
    SELECT settlement_batch, 'acquirer', 0, amount FROM refunds
    UNION ALL
    SELECT settlement_batch, 'recipients', amount, 0 FROM payouts
    UNION ALL
    SELECT settlement_batch, 'in_transit', 0, amount FROM payouts
    UNION ALL
    SELECT p.settlement_batch, 'in_transit', p.amount, 0
    FROM payouts AS p JOIN payout_events AS e ON e.payout = p.id AND e.event = 'execute'
    UNION ALL
    SELECT p.settlement_batch, 'bank', 0, p.amount
    FROM payouts AS p JOIN payout_events AS e ON e.payout = p.id AND e.event = 'execute'
    UNION ALL
    SELECT m.settlement_batch, CASE WHEN e.payout IS NULL THEN 'in_transit' ELSE 'bank' END,
           m.amount, 0
    FROM returned_money AS m
    LEFT JOIN payout_events AS e ON e.payout = m.payout AND e.event = 'execute'
    WHERE m.payout IS NOT NULL
    UNION ALL
    SELECT settlement_batch, 'recipients', 0, amount FROM returned_money WHERE payout IS NOT NULL
    UNION ALL
    SELECT settlement_batch, 'recipients',
           CASE WHEN sign < 0 THEN packed_sum(shares) ELSE coalesce(packed_sum(commissions), 0) END,
           CASE WHEN sign < 0 THEN coalesce(packed_sum(commissions), 0) ELSE packed_sum(shares) END
    FROM moves
    UNION ALL
    SELECT settlement_batch, 'commission',
           CASE WHEN sign < 0 THEN packed_sum(commissions) ELSE 0 END,
           CASE WHEN sign < 0 THEN 0 ELSE packed_sum(commissions) END
    FROM moves WHERE commissions IS NOT NULL
    UNION ALL
    SELECT settlement_batch,
           CASE kind WHEN 'correction' THEN 'corrections' WHEN 'refund' THEN 'suspense'
                     ELSE 'acquirer' END,
           CASE WHEN sign < 0 THEN 0 ELSE amount END, CASE WHEN sign < 0 THEN amount ELSE 0 END
    FROM moves
    UNION ALL
    SELECT settlement_batch, 'suspense', amount, 0 FROM chargebacks WHERE suspended
    UNION ALL
    SELECT settlement_batch, 'acquirer', 0, amount FROM chargebacks WHERE suspended
    UNION ALL
    SELECT settlement_batch, 'acquirer', amount, 0 FROM chargeback_reversals WHERE suspended
    UNION ALL
    SELECT settlement_batch, 'suspense', 0, amount FROM chargeback_reversals WHERE suspended
    UNION ALL
    SELECT settlement_batch, 'recipients', 0, amount FROM debt_settlements
    UNION ALL
    SELECT settlement_batch, CASE kind WHEN 'paid_in' THEN 'bank' ELSE 'written_off' END, amount, 0
    FROM debt_settlements;

-- Days are those of payments: what moves give is theirs already.
CREATE OR REPLACE VIEW wrong_batch_days AS
    SELECT 'settlement batch ' || b.number AS row,
           'its business days are not what it has' AS detail
    FROM settlement_batches AS b JOIN batch_dates AS d ON d.settlement_batch = b.number
    LEFT JOIN LATERAL (
        SELECT sum(payments) AS payments, sum(amount) AS amount, sum(refunds) AS refunds,
               bool_and(business_day BETWEEN d.first_day AND d.last_day) AS within
        FROM batch_days WHERE settlement_batch = b.number) AS s ON true
    WHERE b.payments IS NOT NULL
      AND (coalesce(s.payments, 0) <> b.payments OR coalesce(s.refunds, 0) <> b.refunds
           OR NOT coalesce(s.within, true) OR b.business_date <> d.last_day
           OR coalesce(s.amount, 0) <> (SELECT coalesce(sum(gross), 0) FROM positions
                                        WHERE settlement_batch = b.number)
                                     - (SELECT coalesce(sum(amount), 0) FROM moves
                                        WHERE settlement_batch = b.number AND sign > 0));
