-- Seals: what the rows of a settlement batch were when it was counted, and what it pays when it was
-- approved. Each has the Merkle root (RFC 6962) over its rows; seals are chained in the order they
-- were made, so that none can be made anew without all that follow.
CREATE TABLE seals (
    number           integer PRIMARY KEY CHECK (number >= 1),
    settlement_batch integer NOT NULL REFERENCES settlement_batches,
    stage            text NOT NULL CHECK (stage IN ('counted', 'approved')),
    -- How rows are written to be hashed: a later schema has later versions.
    version          smallint NOT NULL CHECK (version >= 1),
    made_at          timestamptz NOT NULL,
    leaves           bigint NOT NULL CHECK (leaves >= 1),
    root             bytea NOT NULL CHECK (length(root) = 32),
    chain            bytea NOT NULL UNIQUE CHECK (length(chain) = 32),
    UNIQUE (settlement_batch, stage)
);
CREATE TRIGGER seals_are_added BEFORE UPDATE OR DELETE ON seals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The leaves of each seal in order, 1,024 a page: a byte of kind, 16 of id, 32 of hash. With them
-- the audit says which row is not as it was, not only that one is not. 49 bytes a payment.
CREATE TABLE seal_pages (
    seal    integer NOT NULL REFERENCES seals DEFERRABLE INITIALLY DEFERRED,
    page    integer NOT NULL CHECK (page >= 0),
    root    bytea NOT NULL CHECK (length(root) = 32),
    entries bytea NOT NULL CHECK (length(entries) % 49 = 0),
    PRIMARY KEY (seal, page)
);
-- Hashes do not become smaller.
ALTER TABLE seal_pages ALTER COLUMN entries SET STORAGE EXTERNAL;
CREATE TRIGGER seal_pages_are_added BEFORE UPDATE OR DELETE ON seal_pages
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
