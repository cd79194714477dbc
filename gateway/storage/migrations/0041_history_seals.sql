-- Rows that stand in no batch's tree (steps of batches and payouts, agreements, terms, statements,
-- what people decided) are sealed as they are found: each seal has the Merkle root over the hashes
-- of the rows it found, and is chained to the one before and to the last seal of a batch. The one
-- that is made with a batch's count is a leaf of that batch, whose root every report names.
CREATE TABLE history_seals (
    number           integer PRIMARY KEY CHECK (number >= 1),
    settlement_batch integer UNIQUE REFERENCES settlement_batches,
    made_at          timestamptz NOT NULL,
    leaves           bigint NOT NULL CHECK (leaves >= 0),
    root             bytea NOT NULL CHECK (length(root) = 32),
    after_seal       integer REFERENCES seals,
    chain            bytea NOT NULL UNIQUE CHECK (length(chain) = 32),
    CHECK (leaves > 0 OR settlement_batch IS NOT NULL)
);
CREATE TRIGGER history_seals_are_added BEFORE UPDATE OR DELETE ON history_seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE history_rows (
    of_table text COLLATE "C" NOT NULL,
    -- The primary key's columns as PostgreSQL writes them as a row.
    key      text COLLATE "C" NOT NULL,
    seal     integer NOT NULL REFERENCES history_seals DEFERRABLE INITIALLY DEFERRED,
    form     smallint NOT NULL CHECK (form >= 1),
    hash     bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (of_table, key)
);
CREATE INDEX history_rows_by_seal ON history_rows (seal);
CREATE TRIGGER history_rows_are_added BEFORE UPDATE OR DELETE ON history_rows
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
