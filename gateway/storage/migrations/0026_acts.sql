-- Acts of recipients and batches, as they were printed first: names and settings may change later,
-- what was printed does not.

CREATE TABLE acts (
    settlement_batch integer NOT NULL REFERENCES settlement_batches,
    recipient        integer NOT NULL REFERENCES recipients,
    made_at          timestamptz NOT NULL,
    content          bytea NOT NULL CHECK (length(content) BETWEEN 1 AND 4194304),
    PRIMARY KEY (settlement_batch, recipient)
);
CREATE TRIGGER acts_are_added BEFORE UPDATE OR DELETE ON acts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
