-- A database that was put back to an earlier moment knows nothing of what was closed, sent and paid
-- since. Each time that is noticed is a row here; until two people have lifted it nothing is
-- approved or sent, and what the bank's statements say was paid meanwhile becomes rows of its own.

-- Which server the database has been on, to know it again on another; `installation` stays for
-- ever, and goes along into every copy.
CREATE TABLE served_by (
    number            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    installation      uuid NOT NULL,
    system_identifier text NOT NULL CHECK (length(system_identifier) BETWEEN 1 AND 40),
    at                timestamptz NOT NULL
);

-- `caller` is null where the machine found it, or `kopeck restore` made it.
CREATE TABLE restores (
    id     uuid PRIMARY KEY,
    found  text NOT NULL CHECK (found IN ('restore', 'said', 'server', 'witness', 'statement')),
    detail text NOT NULL CHECK (length(detail) BETWEEN 1 AND 500),
    at     timestamptz NOT NULL,
    caller integer REFERENCES callers
);
-- That settlement goes on: asked by one person, who saw these lines (a digest of them and of whose
-- they are), and approved by another.
CREATE TABLE restore_lifts (
    id       uuid PRIMARY KEY,
    restore  uuid NOT NULL REFERENCES restores,
    reason   text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    document text NOT NULL CHECK (length(document) BETWEEN 1 AND 200),
    seen     bytea NOT NULL CHECK (length(seen) = 32),
    asked_at timestamptz NOT NULL,
    asked_by integer NOT NULL REFERENCES callers
);
CREATE TABLE lifted_restores (
    restore          uuid PRIMARY KEY REFERENCES restores,
    lift             uuid NOT NULL REFERENCES restore_lifts,
    approved_at      timestamptz NOT NULL,
    approved_by      integer NOT NULL REFERENCES callers,
    settlement_batch integer NOT NULL
);

-- Lines of statements that tell of orders which the database has lost: paid, or (`came`) given
-- back. `named` is what the line names of ours, null where only its account speaks for it;
-- `recipient` is whose it seems to be; `of_…` the line that a return gives back.
CREATE TABLE restored_lines (
    statement    uuid NOT NULL REFERENCES bank_statements,
    line         integer NOT NULL CHECK (line >= 1),
    restore      uuid NOT NULL REFERENCES restores,
    came         boolean NOT NULL,
    amount       bigint NOT NULL CHECK (amount > 0),
    booked_on    date NOT NULL,
    payer        text NOT NULL,
    order_number text NOT NULL,
    order_date   date,
    account      text,
    inn          text,
    bic          text,
    named        text,
    recipient    integer REFERENCES recipients,
    of_statement uuid,
    of_line      integer,
    PRIMARY KEY (statement, line),
    FOREIGN KEY (of_statement, of_line) REFERENCES restored_lines,
    UNIQUE (of_statement, of_line),
    CHECK ((of_statement IS NULL) = (of_line IS NULL) AND (came OR of_line IS NULL))
);
-- Whose a line is, as a person says; null: nobody's, no order of ours. The last one counts.
CREATE TABLE restored_line_decisions (
    number    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    statement uuid NOT NULL,
    line      integer NOT NULL,
    recipient integer REFERENCES recipients,
    reason    text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    at        timestamptz NOT NULL,
    caller    integer NOT NULL REFERENCES callers,
    FOREIGN KEY (statement, line) REFERENCES restored_lines
);
-- What such lines did to what recipients are owed: below 0 what was paid to them, above what came
-- back. Booked in the batch that was open then, by whoever approved the lift or, for what came back
-- of it later, took the statement.
CREATE TABLE paid_before (
    statement        uuid NOT NULL,
    line             integer NOT NULL,
    recipient        integer NOT NULL REFERENCES recipients,
    amount           bigint NOT NULL CHECK (amount <> 0),
    settlement_batch integer NOT NULL,
    at               timestamptz NOT NULL,
    caller           integer NOT NULL REFERENCES callers,
    PRIMARY KEY (statement, line),
    FOREIGN KEY (statement, line) REFERENCES restored_lines
);
CREATE INDEX paid_before_by_batch ON paid_before (settlement_batch);

CREATE TRIGGER restores_are_added BEFORE UPDATE OR DELETE ON restores
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER restore_lifts_are_added BEFORE UPDATE OR DELETE ON restore_lifts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lifted_restores_are_added BEFORE UPDATE OR DELETE ON lifted_restores
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER restored_lines_are_added BEFORE UPDATE OR DELETE ON restored_lines
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER restored_line_decisions_are_added BEFORE UPDATE OR DELETE ON restored_line_decisions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER paid_before_is_added BEFORE UPDATE OR DELETE ON paid_before
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What came back less what was paid before a restore may be below 0.
ALTER TABLE positions DROP CONSTRAINT positions_returned_check;

-- What was paid before a restore left through the bank, as every payout does in the end.
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
    FROM debt_settlements
    UNION ALL
    SELECT settlement_batch, 'recipients', greatest(-amount, 0), greatest(amount, 0)
    FROM paid_before
    UNION ALL
    SELECT settlement_batch, 'bank', greatest(amount, 0), greatest(-amount, 0) FROM paid_before;
