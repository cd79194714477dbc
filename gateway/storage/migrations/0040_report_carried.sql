-- Reports name what earlier batches carried on and what came back, from the batch on that is open
-- now: those of batches that were closed before stay the bytes they were.

CREATE TABLE report_carried (
    from_batch integer PRIMARY KEY CHECK (from_batch >= 1)
);
CREATE TRIGGER report_carried_are_added BEFORE UPDATE OR DELETE ON report_carried
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
INSERT INTO report_carried (from_batch) SELECT settlement_batch FROM cut;
