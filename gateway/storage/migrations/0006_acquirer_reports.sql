-- Acquirer reports: files of what acquirers took, which payments they speak of, and what does not
-- agree.

-- How each acquirer's files are read against its payments; who has no row has the defaults.
CREATE TABLE report_policies (
    caller          integer PRIMARY KEY REFERENCES callers,
    report_only     text NOT NULL CHECK (report_only IN ('take', 'question')),
    unknown_account text NOT NULL CHECK (unknown_account IN ('suspense', 'question')),
    online_only     text NOT NULL CHECK (online_only IN ('question', 'ignore')),
    set_at          timestamptz NOT NULL,
    set_by          integer NOT NULL REFERENCES callers
);

-- One row a file that was sent and whose control totals held. `digest` stands for its text; the
-- payment order is the one its money comes by, as its footer says.
CREATE TABLE acquirer_reports (
    id            uuid PRIMARY KEY,
    caller        integer NOT NULL REFERENCES callers,
    format        text NOT NULL,
    digest        bytea NOT NULL CHECK (length(digest) = 16),
    received_at   timestamptz NOT NULL,
    row_count     integer NOT NULL CHECK (row_count >= 0),
    amount        numeric NOT NULL CHECK (amount >= 0),
    transfer      numeric CHECK (transfer >= 0),
    fee           numeric CHECK (fee >= 0),
    order_number  text,
    order_date    date,
    first_day     date,
    last_day      date,
    matched       integer CHECK (matched >= 0),
    created       integer CHECK (created >= 0),
    finished_at   timestamptz,
    CHECK ((transfer IS NULL) = (fee IS NULL) AND transfer + fee = amount),
    CHECK ((finished_at IS NULL) = (matched IS NULL) AND (finished_at IS NULL) = (created IS NULL))
);
CREATE INDEX acquirer_reports_by_caller ON acquirer_reports (caller, id);

-- Which row of which report was the first to speak of a payment that was taken online. A payment
-- that a row made says so itself, in its facts.
CREATE TABLE reported_payments (
    payment            uuid NOT NULL,
    report             uuid NOT NULL,
    row_number         integer NOT NULL CHECK (row_number >= 1),
    subscriber_account text NOT NULL,
    PRIMARY KEY (payment, subscriber_account)
);

-- What does not agree; `place` is the row's number, and below zero where no row is concerned.
CREATE TABLE report_discrepancies (
    report             uuid NOT NULL REFERENCES acquirer_reports,
    place              integer NOT NULL CHECK (place <> 0),
    kind               text NOT NULL,
    payment            uuid,
    subscriber_account text,
    operation          text,
    amount             bigint NOT NULL,
    code               text,
    PRIMARY KEY (report, place)
);
CREATE INDEX report_discrepancies_by_payment ON report_discrepancies (payment)
    WHERE payment IS NOT NULL;

-- A row is looked for by its operation's number; payments without one by account, sum and day.
-- Every payment stands in one of the two.
CREATE INDEX payments_by_reference ON payments (reference COLLATE "C")
    WHERE reference IS NOT NULL;
CREATE INDEX payments_without_reference ON payments (subscriber_account)
    WHERE reference IS NULL;

-- What is known of a payment beside the rows of a report: by which report, and which row.
CREATE TYPE known_payment AS (
    place integer, payment uuid, subscriber_account text, total bigint, report uuid, digest bytea,
    row_number integer, made boolean, paid_at timestamptz);

-- The payments of a caller with these numbers. A number that many payments share gives the
-- likeliest few, the newest first. Planned once a session, by index, as begin_group is.
CREATE FUNCTION known_by_number(
    by_caller integer, operations text[], accounts text[], totals bigint[])
RETURNS SETOF known_payment
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT u.place::integer, p.id, p.subscriber_account, p.total,
               coalesce(r.report, made.report), a.digest,
               coalesce(r.row_number, made.row_number), made.report IS NOT NULL,
               p.paid_at
        FROM unnest(operations, accounts, totals) WITH ORDINALITY
             AS u (operation, account, total, place)
        CROSS JOIN LATERAL (
            SELECT q.id, q.subscriber_account, q.total, q.facts, q.paid_at FROM payments AS q
            WHERE q.reference COLLATE "C" = u.operation AND q.caller = by_caller
            ORDER BY (q.subscriber_account = u.account)::integer
                     + (q.total = u.total)::integer DESC, q.id DESC
            LIMIT 8) AS p
        CROSS JOIN LATERAL (
            SELECT substr(p.facts ->> 'report', 5)::uuid AS report,
                   (p.facts ->> 'row')::integer AS row_number) AS made
        LEFT JOIN reported_payments AS r
            ON r.payment = p.id AND r.subscriber_account = p.subscriber_account
        LEFT JOIN acquirer_reports AS a ON a.id = coalesce(r.report, made.report);
END
$$;

-- The payments of a caller to these accounts, of these totals, paid between these moments: those
-- without a number, or (`numbered`) with one as well, from the id `since` on.
CREATE FUNCTION known_by_account(
    by_caller integer, accounts text[], totals bigint[], paid_from timestamptz[],
    paid_until timestamptz[], numbered boolean, since uuid)
RETURNS SETOF known_payment
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT u.place::integer, p.id, p.subscriber_account, p.total,
               coalesce(r.report, made.report), a.digest,
               coalesce(r.row_number, made.row_number), made.report IS NOT NULL,
               p.paid_at
        FROM unnest(accounts, totals, paid_from, paid_until) WITH ORDINALITY
             AS u (account, total, paid_from, paid_until, place)
        CROSS JOIN LATERAL (
            SELECT q.id, q.subscriber_account, q.total, q.facts, q.paid_at FROM payments AS q
            WHERE NOT numbered AND q.reference IS NULL
              AND q.subscriber_account = u.account AND q.id >= since
              AND q.total = u.total AND q.caller = by_caller
              AND coalesce(q.paid_at, q.accepted_at) >= u.paid_from
              AND coalesce(q.paid_at, q.accepted_at) < u.paid_until
            UNION ALL
            SELECT q.id, q.subscriber_account, q.total, q.facts, q.paid_at FROM payments AS q
            WHERE numbered AND q.subscriber_account = u.account AND q.id >= since
              AND q.total = u.total AND q.caller = by_caller
              AND coalesce(q.paid_at, q.accepted_at) >= u.paid_from
              AND coalesce(q.paid_at, q.accepted_at) < u.paid_until
            LIMIT 64) AS p
        CROSS JOIN LATERAL (
            SELECT substr(p.facts ->> 'report', 5)::uuid AS report,
                   (p.facts ->> 'row')::integer AS row_number) AS made
        LEFT JOIN reported_payments AS r
            ON r.payment = p.id AND r.subscriber_account = p.subscriber_account
        LEFT JOIN acquirer_reports AS a ON a.id = coalesce(r.report, made.report);
END
$$;
