-- Business days of batches: which ones a batch closed, when it is to go out, and how much of it
-- came on each of them. Batches closed before there were business days have none of these rows.

CREATE TABLE batch_dates (
    settlement_batch integer PRIMARY KEY REFERENCES settlement_batches,
    first_day        date NOT NULL,
    last_day         date NOT NULL CHECK (last_day >= first_day),
    settlement_date  date NOT NULL CHECK (settlement_date > last_day),
    -- The cut-off that the machine closed it for; null where a person closed it.
    due_at           timestamptz UNIQUE
);
CREATE TRIGGER batch_dates_are_added BEFORE UPDATE OR DELETE ON batch_dates
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Kopecks that were split among recipients and that were given back, by the business day.
CREATE TABLE batch_days (
    settlement_batch integer NOT NULL REFERENCES batch_dates,
    business_day     date NOT NULL,
    payments         bigint NOT NULL CHECK (payments >= 0),
    amount           bigint NOT NULL CHECK (amount >= 0),
    refunds          bigint NOT NULL CHECK (refunds >= 0),
    refunded         bigint NOT NULL CHECK (refunded >= 0),
    PRIMARY KEY (settlement_batch, business_day)
);
CREATE TRIGGER batch_days_are_added BEFORE UPDATE OR DELETE ON batch_days
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- For the audit: the days of a counted batch add up to it and lie within its dates.
CREATE VIEW wrong_batch_days AS
    SELECT 'settlement batch ' || b.number AS row,
           'its business days are not what it has' AS detail
    FROM settlement_batches AS b JOIN batch_dates AS d ON d.settlement_batch = b.number
    LEFT JOIN LATERAL (
        SELECT sum(payments) AS payments, sum(amount) AS amount, sum(refunds) AS refunds,
               bool_and(business_day BETWEEN d.first_day AND d.last_day) AS within
        FROM batch_days WHERE settlement_batch = b.number) AS s ON true
    WHERE b.payments IS NOT NULL
      AND (coalesce(s.payments, 0) <> b.payments OR coalesce(s.refunds, 0) <> b.refunds
           OR NOT coalesce(s.within, true) OR b.business_date <> d.last_day
           OR coalesce(s.amount, 0) <> (SELECT coalesce(sum(gross), 0) FROM positions
                                        WHERE settlement_batch = b.number));
