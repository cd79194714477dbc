-- Recipients' reports: the rows of a closed batch, laid out once so that each recipient's are read
-- without everybody's.

-- Pages of records, a page for each plan and block of rows that follow each other in time, as
-- splitcore's ShareRows reads them. Everything here is made from the journal when a report of the
-- batch is first asked for, and made again whenever it is missing: it need not survive a crash, is
-- in no backup, and pages of old batches may be deleted (whole batches at a time).
CREATE UNLOGGED TABLE report_pages (
    settlement_batch integer NOT NULL,
    plan             integer NOT NULL,
    block            integer NOT NULL CHECK (block >= 0),
    records          integer NOT NULL CHECK (records > 0),
    content          bytea NOT NULL,
    PRIMARY KEY (settlement_batch, plan, block)
    -- Most pages fit their row whole, where they are read at half the cost.
) WITH (toast_tuple_target = 8160);
-- Ids and moments hardly become smaller, and trying costs more than the rest of the work.
ALTER TABLE report_pages ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE INDEX split_plan_parts_by_recipient ON split_plan_parts (recipient);
