-- A batch that nobody ever approved (most have nothing to pay) is no reason to add up everything
-- since then once more: what was approved last is begun from too, by the history of positions.
WITH last AS (
    SELECT max(number) AS number FROM settlement_batches WHERE approved_at IS NOT NULL),
begun AS (
    INSERT INTO judged_batches (settlement_batch, judged_at)
    SELECT number, now() FROM last
    WHERE number IS NOT NULL
      AND number > (SELECT coalesce(max(settlement_batch), 0) FROM judged_batches)
    RETURNING settlement_batch)
INSERT INTO judged_balances (settlement_batch, recipient, amount)
SELECT j.settlement_batch, p.recipient, sum(p.net + p.returned + p.transferred - p.payable)
FROM begun AS j JOIN positions AS p ON p.settlement_batch <= j.settlement_batch
GROUP BY j.settlement_batch, p.recipient
HAVING sum(p.net + p.returned + p.transferred - p.payable) <> 0;
