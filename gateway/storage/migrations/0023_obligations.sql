-- Obligations: what one recipient owes another (a management company its supplier), paid out of
-- its share of the named services as batches are closed. Nothing of it is ever changed: a debt,
-- what was transferred on it and what was withdrawn of it are rows; what remains follows from them.

CREATE TABLE obligations (
    number           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               uuid NOT NULL UNIQUE,
    debtor           integer NOT NULL REFERENCES recipients,
    creditor         integer NOT NULL REFERENCES recipients CHECK (creditor <> debtor),
    -- None means all.
    services         text[] NOT NULL,
    amount           bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    document_number  text NOT NULL CHECK (length(document_number) BETWEEN 1 AND 64),
    document_date    date NOT NULL,
    -- The batch that was open when it was loaded, the first that pays on it.
    settlement_batch integer NOT NULL CHECK (settlement_batch >= 1),
    loaded_at        timestamptz NOT NULL,
    loaded_by        integer NOT NULL REFERENCES callers,
    -- The same document loaded again would be owed twice.
    UNIQUE (debtor, creditor, document_number, document_date)
);
CREATE INDEX obligations_by_creditor ON obligations (creditor);
CREATE INDEX obligations_by_batch ON obligations (settlement_batch);
CREATE TRIGGER obligations_are_added BEFORE UPDATE OR DELETE ON obligations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What remains of each that is not paid yet; a close looks at these alone.
CREATE TABLE open_obligations (
    obligation integer PRIMARY KEY REFERENCES obligations,
    debtor     integer NOT NULL REFERENCES recipients,
    remaining  bigint NOT NULL CHECK (remaining >= 0)
);
CREATE INDEX open_obligations_by_debtor ON open_obligations (debtor);

-- What a counted batch moved from the debtor to the creditor, out of which service.
CREATE TABLE obligation_transfers (
    id               uuid PRIMARY KEY,
    settlement_batch integer NOT NULL REFERENCES settlement_batches,
    obligation       integer NOT NULL REFERENCES obligations,
    debtor           integer NOT NULL REFERENCES recipients,
    creditor         integer NOT NULL REFERENCES recipients CHECK (creditor <> debtor),
    service          text NOT NULL,
    amount           bigint NOT NULL CHECK (amount > 0),
    UNIQUE (settlement_batch, obligation, service)
);
CREATE INDEX obligation_transfers_by_obligation
    ON obligation_transfers (obligation, settlement_batch);
CREATE TRIGGER obligation_transfers_are_added BEFORE UPDATE OR DELETE ON obligation_transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What is asked to be withdrawn of a debt (null: all that remains then), and what was: the second
-- is by another person than the first.
CREATE TABLE obligation_withdrawals (
    id         uuid PRIMARY KEY,
    obligation integer NOT NULL REFERENCES obligations,
    amount     bigint CHECK (amount > 0),
    reason     text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    asked_at   timestamptz NOT NULL,
    asked_by   integer NOT NULL REFERENCES callers
);
CREATE INDEX obligation_withdrawals_by_obligation ON obligation_withdrawals (obligation);
CREATE TRIGGER obligation_withdrawals_are_added BEFORE UPDATE OR DELETE ON obligation_withdrawals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE obligation_reductions (
    id               uuid PRIMARY KEY REFERENCES obligation_withdrawals,
    obligation       integer NOT NULL REFERENCES obligations,
    -- The batch that was open then, the first that pays the less on it.
    settlement_batch integer NOT NULL CHECK (settlement_batch >= 1),
    amount           bigint NOT NULL CHECK (amount > 0),
    reason           text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    asked_by         integer NOT NULL REFERENCES callers,
    approved_at      timestamptz NOT NULL,
    approved_by      integer NOT NULL REFERENCES callers
);
CREATE INDEX obligation_reductions_by_obligation ON obligation_reductions (obligation);
CREATE INDEX obligation_reductions_by_batch ON obligation_reductions (settlement_batch);
CREATE TRIGGER obligation_reductions_are_added BEFORE UPDATE OR DELETE ON obligation_reductions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Credited less debited; what others owed is never more than what a position has.
ALTER TABLE positions
    ADD COLUMN transferred bigint NOT NULL DEFAULT 0,
    DROP CONSTRAINT payable_is_all_or_nothing,
    DROP CONSTRAINT carried_out_is_left,
    ADD CONSTRAINT payable_is_all_or_nothing CHECK (
        payable = 0
        OR (payable > 0 AND payable = carried_in + returned + net + transferred)),
    ADD CONSTRAINT carried_out_is_left CHECK (
        carried_out = carried_in + returned + net + transferred - payable);
