-- A balance below the minimum that was agreed waits for a next batch, but not for ever.

ALTER TABLE positions
    DROP CONSTRAINT positions_carried_in_check,
    DROP CONSTRAINT payable_is_owed,
    ADD CONSTRAINT payable_is_all_or_nothing CHECK (
        payable = 0 OR (payable > 0 AND payable = carried_in + returned + net));

-- What waits after a batch, and by which version of an agreement. `since` is the day of the first
-- batch that did not pay it, `on_day` this batch's, both local to the agreement.
CREATE TABLE waiting_balances (
    settlement_batch integer NOT NULL,
    recipient        integer NOT NULL,
    agreement        uuid NOT NULL REFERENCES agreements,
    amount           bigint NOT NULL CHECK (amount > 0),
    minimum_payout   bigint NOT NULL,
    since            date NOT NULL,
    on_day           date NOT NULL,
    waits_until      date NOT NULL,
    PRIMARY KEY (settlement_batch, recipient),
    CHECK (amount < minimum_payout),
    CHECK (on_day < waits_until)
);
CREATE TRIGGER waiting_balances_are_added BEFORE UPDATE OR DELETE ON waiting_balances
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Whether what a position carries on is a debt, nothing, or money that is said to wait.
CREATE FUNCTION carries_rightly(batch integer, whose integer, carried_out bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT carried_out <= 0 OR EXISTS (
        SELECT FROM waiting_balances AS w
        WHERE w.settlement_batch = batch AND w.recipient = whose AND w.amount = carried_out)
$$;

-- What waits now: after the last batch that was counted.
CREATE VIEW waiting_money AS
    SELECT recipient, carried_out AS amount FROM positions
    WHERE carried_out > 0 AND settlement_batch =
        (SELECT max(number) FROM settlement_batches WHERE payments IS NOT NULL);

-- What acquirers keep of a batch's payments by their own agreements: the centre's cost, and no part
-- of any split. Each payment by the version in force when it was taken, rounded by itself.
CREATE FUNCTION acquirer_fees(batch integer)
RETURNS TABLE (acquirer text, channel smallint, payments bigint, total numeric, fee numeric)
LANGUAGE sql STABLE AS $$
    WITH cells AS MATERIALIZED (
        SELECT v.acquirer, v.valid_from, v.terms_version, v.begins_at, v.ends_at, t.channel,
               t.below_ppm, t.below_fixed, t.below_min, t.below_max
        FROM approved_agreements AS v LEFT JOIN agreement_tariffs AS t ON t.agreement = v.agreement
        WHERE v.acquirer IS NOT NULL)
    SELECT p.acquirer, p.method, count(*), sum(p.total),
           sum(CASE WHEN f.below_ppm IS NOT NULL AND (f.channel IS NULL OR f.channel = p.method)
               THEN least(greatest(floor((p.total * f.below_ppm + 500000) / 1000000)
                                   + f.below_fixed, f.below_min), coalesce(f.below_max, p.total),
                          p.total)
               ELSE 0 END)
    FROM (SELECT coalesce(a.acquirer, c.name) AS acquirer, p.method, p.total::numeric AS total,
                 p.terms_version, p.accepted_at
          FROM payments AS p
          JOIN callers AS c ON c.number = p.caller
          LEFT JOIN authorisations AS a ON a.id = p.id
          WHERE p.settlement_batch = batch) AS p
    LEFT JOIN LATERAL (
        SELECT * FROM cells AS e
        WHERE e.acquirer = p.acquirer AND e.terms_version <= p.terms_version
          AND e.begins_at <= p.accepted_at AND (e.ends_at IS NULL OR e.ends_at > p.accepted_at)
        -- The version in force, and of its cells the one that fits best.
        ORDER BY e.valid_from DESC, e.terms_version DESC,
                 CASE WHEN e.channel = p.method THEN 0 WHEN e.channel IS NULL THEN 1 ELSE 2 END
        LIMIT 1) AS f ON true
    GROUP BY p.acquirer, p.method ORDER BY p.acquirer, p.method
$$;
