-- Reports have more columns from the batch on that is open now: those of batches that were closed
-- before stay the bytes they were.

CREATE TABLE report_forms (
    from_batch integer PRIMARY KEY CHECK (from_batch >= 1),
    form       smallint NOT NULL CHECK (form >= 2)
);
CREATE TRIGGER report_forms_are_added BEFORE UPDATE OR DELETE ON report_forms
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
INSERT INTO report_forms (from_batch, form) SELECT settlement_batch, 2 FROM cut;
