-- What becomes of payouts: sent, executed, returned or cancelled, as operators and the bank's
-- statements say; and money that came back, which is owed to its recipient again.

ALTER TABLE settlement_batches
    -- Who pays this batch, as its payout files say; null until it is approved.
    ADD COLUMN payer_account text CHECK (length(payer_account) = 20),
    ADD COLUMN payer_bic text CHECK (length(payer_bic) = 9),
    -- It came out of a backup: what happened to it afterwards is known to the bank alone.
    ADD COLUMN restored_at timestamptz,
    DROP CONSTRAINT settlement_batches_state_check,
    DROP CONSTRAINT settlement_batches_check,
    DROP CONSTRAINT settlement_batches_check1,
    ADD CONSTRAINT settlement_batches_state_check CHECK (state IN (
        'cut', 'closed', 'approved', 'sent', 'partially_executed', 'executed', 'returned',
        'cancelled')),
    ADD CONSTRAINT approved_by_somebody CHECK ((approved_at IS NULL) = (approved_by IS NULL)),
    ADD CONSTRAINT approved_in_its_state CHECK (
        state = 'cancelled' OR (approved_at IS NULL) = (state IN ('cut', 'closed')));

-- Every step of a batch after it was closed, by whom and why.
CREATE TABLE settlement_events (
    number           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    settlement_batch integer NOT NULL REFERENCES settlement_batches,
    event            text NOT NULL,
    state            text NOT NULL,
    at               timestamptz NOT NULL,
    caller           integer NOT NULL REFERENCES callers,
    reason           text CHECK (length(reason) BETWEEN 1 AND 500)
);
CREATE INDEX settlement_events_by_batch ON settlement_events (settlement_batch, number);
CREATE TRIGGER settlement_events_are_added BEFORE UPDATE OR DELETE ON settlement_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE payouts
    DROP CONSTRAINT payouts_state_check,
    ADD CONSTRAINT payouts_state_check CHECK (state IN (
        'approved', 'sent', 'executed', 'returned', 'cancelled'));
CREATE INDEX payouts_by_order_number ON payouts (order_number);

-- Statements of the bank that were taken, and what was answered to whoever sent each.
CREATE TABLE bank_statements (
    id         uuid PRIMARY KEY,
    format     text NOT NULL,
    digest     bytea NOT NULL UNIQUE CHECK (length(digest) = 16),
    taken_at   timestamptz NOT NULL,
    taken_by   integer NOT NULL REFERENCES callers,
    accounts   text[] NOT NULL,
    first_day  date,
    last_day   date,
    line_count integer NOT NULL CHECK (line_count >= 0),
    debits     numeric NOT NULL CHECK (debits >= 0),
    credits    numeric NOT NULL CHECK (credits >= 0),
    answer     bytea NOT NULL
);
CREATE TRIGGER bank_statements_are_added BEFORE UPDATE OR DELETE ON bank_statements
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What happened to each payout, each thing at most once: nothing is paid or comes back twice.
CREATE TABLE payout_events (
    payout    uuid NOT NULL REFERENCES payouts,
    event     text NOT NULL CHECK (event IN ('send', 'execute', 'return', 'cancel')),
    at        timestamptz NOT NULL,
    caller    integer NOT NULL REFERENCES callers,
    statement uuid REFERENCES bank_statements,
    line      integer CHECK (line >= 1),
    booked_on date,
    PRIMARY KEY (payout, event),
    CHECK ((event IN ('execute', 'return')) = (statement IS NOT NULL)),
    CHECK ((statement IS NULL) = (line IS NULL) AND (statement IS NULL) = (booked_on IS NULL))
);
CREATE TRIGGER payout_events_are_added BEFORE UPDATE OR DELETE ON payout_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Lines of statements that agree with no payout of ours, or not quite.
CREATE TABLE statement_discrepancies (
    statement uuid NOT NULL REFERENCES bank_statements,
    line      integer NOT NULL CHECK (line >= 1),
    kind      text NOT NULL,
    payout    uuid REFERENCES payouts,
    amount    bigint NOT NULL CHECK (amount > 0),
    PRIMARY KEY (statement, line)
);
CREATE TRIGGER statement_discrepancies_are_added
    BEFORE UPDATE OR DELETE ON statement_discrepancies
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Money that a batch did not bring to its recipient, owed to it again in another batch. `payout` is
-- null where the batch was cancelled before there were any.
CREATE TABLE returned_money (
    from_batch       integer NOT NULL REFERENCES settlement_batches,
    recipient        integer NOT NULL REFERENCES recipients,
    settlement_batch integer NOT NULL CHECK (settlement_batch > from_batch),
    amount           bigint NOT NULL CHECK (amount > 0),
    payout           uuid UNIQUE REFERENCES payouts,
    at               timestamptz NOT NULL,
    PRIMARY KEY (from_batch, recipient)
);
CREATE INDEX returned_money_by_batch ON returned_money (settlement_batch);
CREATE TRIGGER returned_money_is_added BEFORE UPDATE OR DELETE ON returned_money
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The number of a payment order is given when its position is counted, so that a batch that comes
-- out of a backup is paid by the same orders as before.
ALTER TABLE positions
    ADD COLUMN returned bigint NOT NULL DEFAULT 0 CHECK (returned >= 0),
    ADD COLUMN order_number integer CHECK (order_number BETWEEN 1 AND 999999),
    DROP CONSTRAINT positions_check2,
    DROP CONSTRAINT positions_check3,
    ADD CONSTRAINT payable_is_owed CHECK (payable = greatest(carried_in + returned + net, 0)),
    ADD CONSTRAINT carried_out_is_left CHECK (
        carried_out = carried_in + returned + net - payable);

-- Double entry goes on to the bank: what is in a payout is in transit until the bank has paid it.
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
    SELECT settlement_batch, 'recipients', 0, amount FROM returned_money WHERE payout IS NOT NULL;
