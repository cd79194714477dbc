-- Settlement's functions as Citus can plan them: asked with values, each by itself.

CREATE OR REPLACE FUNCTION waited_since(batch integer, whose integer) RETURNS date
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN (
        WITH RECURSIVE way AS (
            SELECT batch AS number
            UNION
            SELECT m.from_batch FROM way JOIN returned_money AS m
                ON m.settlement_batch = way.number AND m.recipient = whose)
        SELECT min(coalesce(w.since, d.waits_since)) FROM way
        LEFT JOIN waiting_balances AS w
            ON w.settlement_batch = way.number - 1 AND w.recipient = whose
        LEFT JOIN position_days AS d
            ON d.settlement_batch = way.number - 1 AND d.recipient = whose);
END
$$;

CREATE OR REPLACE FUNCTION last_payout_state(batch integer, whose integer) RETURNS text
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN (
        WITH RECURSIVE way AS (
            SELECT batch AS number
            UNION
            SELECT n.number FROM way CROSS JOIN LATERAL (
                SELECT min(p.settlement_batch) FROM positions AS p
                WHERE p.recipient = whose AND p.settlement_batch > way.number AND EXISTS (
                    SELECT FROM positions AS q WHERE q.recipient = whose
                        AND q.settlement_batch = way.number AND q.carried_out > 0)
                UNION ALL
                SELECT m.settlement_batch FROM returned_money AS m
                WHERE m.from_batch = way.number AND m.recipient = whose) AS n (number)
            WHERE n.number IS NOT NULL)
        SELECT o.state FROM payouts AS o JOIN way ON way.number = o.settlement_batch
        WHERE o.recipient = whose ORDER BY o.settlement_batch DESC LIMIT 1);
END
$$;
