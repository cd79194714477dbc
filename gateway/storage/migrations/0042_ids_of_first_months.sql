-- Payments are to be partitioned by month. An id begins with the milliseconds since 1970, so a
-- month is a range of ids, and no row has to be moved: what is there becomes the first partition,
-- up to the start of a month that leaves time to finish, or to begin again, what the next files do.
DO $migration$
DECLARE
    newest timestamptz := (
        SELECT to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint
                            / 1000)
        FROM payments ORDER BY id DESC LIMIT 1);
    bound timestamptz := (date_trunc('month', greatest(now(), newest) AT TIME ZONE 'UTC')
                          + interval '2 months') AT TIME ZONE 'UTC';
BEGIN
    EXECUTE format(
        'ALTER TABLE payments ADD CONSTRAINT before_months CHECK (id < %L::uuid) NOT VALID',
        rpad(lpad(to_hex((extract(epoch FROM bound) * 1000)::bigint), 12, '0'), 32, '0')::uuid);
END
$migration$;
