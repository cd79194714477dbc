-- What each recipient was still owed, or owed, after a batch, as the journal says it and not as
-- positions do: written when a batch is approved, so that the next one is compared from there on
-- and not from the first payment of all.

CREATE TABLE judged_batches (
    settlement_batch integer PRIMARY KEY CHECK (settlement_batch >= 1),
    judged_at        timestamptz NOT NULL
);
-- No row is nothing.
CREATE TABLE judged_balances (
    settlement_batch integer NOT NULL REFERENCES judged_batches,
    recipient        integer NOT NULL,
    amount           bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (settlement_batch, recipient)
);
CREATE TRIGGER judged_batches_are_added BEFORE UPDATE OR DELETE ON judged_batches
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER judged_balances_are_added BEFORE UPDATE OR DELETE ON judged_balances
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What was settled before there were any is begun from: all positions ever had less all they paid,
-- up to the last batch before which nothing waits for its approval. Not from what they say that
-- they carried.
INSERT INTO judged_batches (settlement_batch, judged_at)
SELECT last, now() FROM (
    SELECT CASE WHEN min(number) FILTER (WHERE state IN ('cut', 'closed')) IS NULL THEN max(number)
                ELSE min(number) FILTER (WHERE state IN ('cut', 'closed')) - 1 END AS last
    FROM settlement_batches) AS s
WHERE last >= 1;
INSERT INTO judged_balances (settlement_batch, recipient, amount)
SELECT j.settlement_batch, p.recipient, sum(p.net + p.returned + p.transferred - p.payable)
FROM judged_batches AS j JOIN positions AS p ON p.settlement_batch <= j.settlement_batch
GROUP BY j.settlement_batch, p.recipient
HAVING sum(p.net + p.returned + p.transferred - p.payable) <> 0;
