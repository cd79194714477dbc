-- Recipients' own cut-offs: which business days of its own a position has, and until which moment
-- its money is held where a batch was closed at the cut-off of others.

-- A row a position, of batches that are closed while agreements have cut-offs of their own. Days
-- are by the agreement's cut-off, or by the centre's where `agreement` is null.
CREATE TABLE position_days (
    settlement_batch integer NOT NULL,
    recipient        integer NOT NULL,
    agreement        uuid REFERENCES agreements,
    first_day        date NOT NULL,
    last_day         date NOT NULL CHECK (last_day >= first_day),
    -- The first day of all the position has, what was held before with it.
    since_day        date NOT NULL CHECK (since_day <= last_day),
    -- Up to when the recipient's money had been settled before. Null before there was any batch.
    settled_to       timestamptz,
    -- Its next own cut-off, where its money is held; null where it is paid, or may wait to be more.
    held_until       timestamptz,
    -- Since when money waits that is less than its minimum, where it is held besides.
    waits_since      date CHECK (waits_since IS NULL OR held_until IS NOT NULL),
    PRIMARY KEY (settlement_batch, recipient)
);
CREATE TRIGGER position_days_are_added BEFORE UPDATE OR DELETE ON position_days
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Whether what a position carries on is a debt, nothing, or money that is said to wait or be held.
CREATE OR REPLACE FUNCTION carries_rightly(batch integer, whose integer, carried_out bigint)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT carried_out <= 0 OR EXISTS (
        SELECT FROM waiting_balances AS w
        WHERE w.settlement_batch = batch AND w.recipient = whose AND w.amount = carried_out)
    OR EXISTS (
        SELECT FROM position_days AS d
        WHERE d.settlement_batch = batch AND d.recipient = whose AND d.held_until IS NOT NULL)
$$;

-- Since when money of a position has waited for its minimum: what waited, or was held, after the
-- batch before; and what was paid at last and came back, or was cancelled, goes on waiting from
-- when it first did. Null where nothing waited.
CREATE FUNCTION waited_since(batch integer, whose integer) RETURNS date
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE way AS (
        SELECT batch AS number
        UNION
        SELECT m.from_batch FROM way JOIN returned_money AS m
            ON m.settlement_batch = way.number AND m.recipient = whose)
    SELECT min(coalesce(w.since, d.waits_since)) FROM way
    LEFT JOIN waiting_balances AS w
        ON w.settlement_batch = way.number - 1 AND w.recipient = whose
    LEFT JOIN position_days AS d
        ON d.settlement_batch = way.number - 1 AND d.recipient = whose
$$;

-- Up to which moment a batch settled: its cut-off, or when somebody closed it.
CREATE VIEW batch_reach AS
    SELECT b.number AS settlement_batch, coalesce(d.due_at, b.closed_at) AS moment,
           d.due_at IS NULL AS by_hand
    FROM settlement_batches AS b LEFT JOIN batch_dates AS d ON d.settlement_batch = b.number;

-- What the audit finds wrong with cut-offs of recipients: nothing where all holds.
CREATE VIEW wrong_position_days AS
    SELECT 'position of ' || r.id || ' in settlement batch ' || settlement_batch AS row, detail
    FROM (
        SELECT p.settlement_batch, p.recipient, 'is not there for its business days' AS detail
        FROM position_days AS p LEFT JOIN positions AS q USING (settlement_batch, recipient)
        WHERE q.recipient IS NULL
        UNION ALL
        SELECT q.settlement_batch, q.recipient,
               'has no business days, though others of its batch do'
        FROM positions AS q LEFT JOIN position_days AS p USING (settlement_batch, recipient)
        WHERE p.recipient IS NULL
          AND q.settlement_batch IN (SELECT settlement_batch FROM position_days)
        UNION ALL
        SELECT p.settlement_batch, p.recipient, 'goes by an agreement that is not its own'
        FROM position_days AS p LEFT JOIN agreements AS a ON a.id = p.agreement
        WHERE p.agreement IS NOT NULL
          AND (a.recipient IS DISTINCT FROM p.recipient OR a.cut_off IS NULL)
        UNION ALL
        SELECT p.settlement_batch, p.recipient, 'is paid and held, or held beyond its cut-off'
        FROM position_days AS p JOIN positions AS q USING (settlement_batch, recipient)
        JOIN batch_reach AS b USING (settlement_batch)
        WHERE p.held_until IS NOT NULL
          AND (q.payable > 0 OR b.by_hand OR p.held_until <= b.moment)
        UNION ALL
        SELECT p.settlement_batch, p.recipient, 'is held though its cut-off has come'
        FROM position_days AS p JOIN batch_reach AS b USING (settlement_batch)
        JOIN position_days AS e ON e.settlement_batch = p.settlement_batch - 1
                               AND e.recipient = p.recipient
        WHERE p.held_until IS NOT NULL AND e.held_until <= b.moment
        UNION ALL
        SELECT p.settlement_batch, p.recipient, 'does not begin where the batch before ended'
        FROM position_days AS p JOIN batch_reach AS b ON b.settlement_batch = p.settlement_batch - 1
        LEFT JOIN position_days AS e ON e.settlement_batch = p.settlement_batch - 1
                                    AND e.recipient = p.recipient AND e.held_until IS NOT NULL
        WHERE p.settled_to IS DISTINCT FROM
              CASE WHEN e.recipient IS NULL THEN b.moment ELSE e.settled_to END) AS wrong
    LEFT JOIN recipients AS r ON r.number = wrong.recipient;
