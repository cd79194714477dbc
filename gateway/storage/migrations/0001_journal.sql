-- The journal and everything it rests on. Money is integer kopecks in bigint; the CHECKs here are
-- the last line behind the same checks in the splitting core and in the gateway.
-- Rows of payments, refunds, resolutions and bills are only ever added.

-- Packed vectors: one width byte (4 or 8), then signed big-endian integers of that width.
-- Measured against bigint[] and against a row a share, they are the cheapest to write and take
-- 34 bytes for eight shares; the views below unpack them for SQL users.
CREATE FUNCTION unpack(packed bytea)
RETURNS TABLE (place integer, kopecks bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (at - 1) / get_byte(packed, 0),
           CASE get_byte(packed, 0)
               WHEN 4 THEN (get_byte(packed, at)::bigint << 24) | (get_byte(packed, at + 1) << 16)
                         | (get_byte(packed, at + 2) << 8) | get_byte(packed, at + 3)
               ELSE ('x' || encode(substring(packed FROM at + 1 FOR 8), 'hex'))::bit(64)::bigint
           END
    FROM generate_series(1, length(packed) - 1, get_byte(packed, 0)) AS at
$$;

CREATE FUNCTION packed_sum(packed bytea) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    total bigint := 0;
BEGIN
    IF get_byte(packed, 0) = 4 THEN
        FOR at IN 1 .. length(packed) - 4 BY 4 LOOP
            total := total + ((get_byte(packed, at) << 24) | (get_byte(packed, at + 1) << 16)
                              | (get_byte(packed, at + 2) << 8) | get_byte(packed, at + 3));
        END LOOP;
    ELSE
        FOR at IN 2 .. length(packed) - 7 BY 8 LOOP
            total := total
                + ('x' || encode(substring(packed FROM at FOR 8), 'hex'))::bit(64)::bigint;
        END LOOP;
    END IF;
    RETURN total;
END
$$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME;
END
$$;

-- Who may ask us for what. Only a digest of each secret is kept.
CREATE TABLE callers (
    number    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name      text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    role      text NOT NULL
              CHECK (role IN ('acquirer', 'operator', 'approver', 'recipient', 'auditor')),
    recipient text CHECK ((recipient IS NOT NULL) = (role = 'recipient')),
    UNIQUE NULLS NOT DISTINCT (name, role, recipient)
);
CREATE TABLE api_keys (
    secret_sha256 bytea PRIMARY KEY CHECK (length(secret_sha256) = 32),
    caller        integer NOT NULL REFERENCES callers,
    added_at      timestamptz NOT NULL DEFAULT now(),
    revoked_at    timestamptz
);

-- Who money is owed to.
CREATE TABLE recipients (
    number                integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id                    text NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 64),
    name                  text NOT NULL CHECK (length(name) BETWEEN 1 AND 160),
    kind                  text NOT NULL CHECK
        (kind IN ('supplier', 'management_company', 'regional_operator', 'centre')),
    inn                   text NOT NULL,
    kpp                   text,
    bic                   text NOT NULL CHECK (length(bic) = 9),
    account               text NOT NULL CHECK (length(account) = 20),
    correspondent_account text CHECK (length(correspondent_account) = 20),
    set_at                timestamptz NOT NULL,
    set_by                integer NOT NULL REFERENCES callers
);

-- Fee rules by version: the rule in force at version v is the newest row not above v.
CREATE TABLE commission_terms (
    recipient integer NOT NULL REFERENCES recipients,
    version   bigint NOT NULL,
    ppm       integer NOT NULL CHECK (ppm BETWEEN 0 AND 1000000),
    fixed     bigint NOT NULL CHECK (fixed BETWEEN 0 AND 10000000000000),
    min       bigint NOT NULL CHECK (min BETWEEN 0 AND 10000000000000),
    max       bigint CHECK (max BETWEEN min AND 10000000000000),
    set_at    timestamptz NOT NULL,
    set_by    integer NOT NULL REFERENCES callers,
    PRIMARY KEY (recipient, version)
);
CREATE TABLE surcharge_terms (
    method    smallint NOT NULL CHECK (method BETWEEN 0 AND 6),
    version   bigint NOT NULL,
    ppm       integer NOT NULL CHECK (ppm BETWEEN 0 AND 1000000),
    fixed     bigint NOT NULL CHECK (fixed BETWEEN 0 AND 10000000000000),
    min       bigint NOT NULL CHECK (min BETWEEN 0 AND 10000000000000),
    max       bigint CHECK (max BETWEEN min AND 10000000000000),
    set_at    timestamptz NOT NULL,
    set_by    integer NOT NULL REFERENCES callers,
    PRIMARY KEY (method, version)
);

-- The one row that every commit group reads under the shared cut lock: the settlement batch that
-- is open and the version of the fee rules in force.
CREATE TABLE cut (
    only_row         boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    settlement_batch integer NOT NULL CHECK (settlement_batch >= 1),
    terms_version    bigint NOT NULL CHECK (terms_version >= 0)
);
INSERT INTO cut (settlement_batch, terms_version) VALUES (1, 0);

-- Structures that bills share: which services, whose charges, which tiers and second levels.
CREATE TABLE split_plans (
    number     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest     bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    plan       bytea NOT NULL,
    services   text[] NOT NULL,
    recipients integer[] NOT NULL
);
CREATE TABLE split_plan_parts (
    plan      integer NOT NULL REFERENCES split_plans,
    place     integer NOT NULL CHECK (place >= 0),
    charge    integer NOT NULL CHECK (charge BETWEEN 0 AND 255),
    service   text NOT NULL,
    recipient integer NOT NULL REFERENCES recipients,
    PRIMARY KEY (plan, place)
);
CREATE TABLE split_plan_recipients (
    plan      integer NOT NULL REFERENCES split_plans,
    place     integer NOT NULL CHECK (place >= 0),
    recipient integer NOT NULL REFERENCES recipients,
    PRIMARY KEY (plan, place)
);

-- Every bill as it was loaded; replaced ones stay, so that each split can be done again.
CREATE TABLE bills (
    subscriber_account text NOT NULL CHECK (length(subscriber_account) BETWEEN 1 AND 30),
    number             bigint GENERATED ALWAYS AS IDENTITY,
    period             text NOT NULL CHECK (length(period) = 7),
    plan               integer NOT NULL,
    overpayment        smallint NOT NULL CHECK (overpayment BETWEEN -2 AND 255),
    counts_from        integer NOT NULL CHECK (counts_from >= 0),
    loaded_after       integer NOT NULL CHECK (loaded_after >= counts_from),
    loaded_by          integer NOT NULL,
    loaded_at          timestamptz NOT NULL,
    as_of              timestamptz,
    due                bytea NOT NULL,
    weight             bytea,
    payer              jsonb,
    PRIMARY KEY (subscriber_account, number)
);
CREATE TRIGGER bills_are_added BEFORE UPDATE OR DELETE ON bills
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The open bill of each account with what was already paid on it: the row that payments to one
-- account queue for. `sequence` numbers what happened to the account: payments, placed suspense and
-- refunds, one after another; payments after `counts_from` count on this bill.
CREATE TABLE open_bills (
    subscriber_account text PRIMARY KEY,
    bill               bigint NOT NULL,
    plan               integer NOT NULL,
    sequence           integer NOT NULL CHECK (sequence >= counts_from),
    counts_from        integer NOT NULL CHECK (counts_from >= 0),
    overpayment        smallint NOT NULL,
    period             text NOT NULL,
    due                bytea NOT NULL,
    weight             bytea,
    paid               bytea NOT NULL
) WITH (fillfactor = 70);

-- Idempotency for ever: a caller's key, the route and the body it was used for, and what it made.
-- Payments are answered again from their row; other routes keep the answer itself.
CREATE TABLE idempotency_keys (
    caller             integer NOT NULL,
    route              smallint NOT NULL,
    resource           uuid,
    key                text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint        bytea NOT NULL CHECK (length(fingerprint) = 16),
    subscriber_account text,
    answer             bytea,
    PRIMARY KEY (caller, key)
);

-- Everything a commit group needs before it is split, in one round trip. Each statement sees what
-- was committed while the one before it waited: first the cut lock, then the keys (in the order
-- given), then the open bills (in the order of accounts), so that groups cannot deadlock.
-- One row for each open bill, and one without a bill where there is none.
CREATE FUNCTION begin_group(
    cut_lock bigint, callers integer[], routes smallint[], keys text[], fingerprints bytea[],
    accounts text[], resources uuid[])
RETURNS TABLE (
    settlement_batch integer, terms_version bigint, claimed bigint, subscriber_account text,
    bill bigint, period text, plan integer, overpayment smallint, sequence integer,
    counts_from integer, due bytea, weight bytea, paid bytea)
LANGUAGE plpgsql
-- Planned once a session, whatever the tables' size was at that moment: by index. Planning costs
-- a small group more than the work itself.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    batch integer;
    version bigint;
    fresh bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(cut_lock);
    WITH made AS (
        INSERT INTO idempotency_keys
            (caller, key, route, fingerprint, subscriber_account, resource)
        SELECT * FROM unnest(callers, keys, routes, fingerprints, accounts, resources)
        ON CONFLICT (caller, key) DO NOTHING RETURNING 1)
    SELECT count(*) INTO fresh FROM made;
    SELECT c.settlement_batch, c.terms_version INTO batch, version FROM cut AS c;
    RETURN QUERY
        SELECT batch, version, fresh, o.subscriber_account, o.bill, o.period, o.plan,
               o.overpayment, o.sequence, o.counts_from, o.due, o.weight, o.paid
        FROM open_bills AS o WHERE o.subscriber_account = ANY (accounts) AND o.bill > 0
        ORDER BY o.subscriber_account FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT batch, version, fresh, NULL::text, NULL::bigint, NULL::text,
            NULL::integer, NULL::smallint, NULL::integer, NULL::integer, NULL::bytea,
            NULL::bytea, NULL::bytea;
    END IF;
END
$$;

-- What is now paid on locked open bills, planned as begin_group is.
CREATE FUNCTION save_paid(accounts text[], paid_now bytea[], sequences integer[]) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    UPDATE open_bills AS o SET paid = u.paid_now, sequence = u.sequence
    FROM unnest(accounts, paid_now, sequences) AS u (account, paid_now, sequence)
    WHERE o.subscriber_account = u.account;
END
$$;

-- Accepted payments. bill, plan and shares are null while the money is nobody's (suspense).
CREATE TABLE payments (
    id                 uuid NOT NULL,
    accepted_at        timestamptz NOT NULL,
    paid_at            timestamptz,
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    surcharge          bigint NOT NULL CHECK (surcharge >= 0),
    total              bigint NOT NULL CHECK (total = amount + surcharge),
    commission         bigint NOT NULL CHECK (commission BETWEEN 0 AND amount),
    bill               bigint,
    terms_version      bigint NOT NULL,
    caller             integer NOT NULL,
    settlement_batch   integer NOT NULL,
    sequence           integer,
    plan               integer,
    method             smallint NOT NULL CHECK (method BETWEEN 0 AND 6),
    subscriber_account text NOT NULL CHECK (length(subscriber_account) BETWEEN 1 AND 30),
    shares             bytea CHECK (packed_sum(shares) = amount),
    commissions        bytea CHECK (packed_sum(commissions) = commission),
    facts              json,
    designation        json,
    reference          text,
    PRIMARY KEY (id, subscriber_account),
    CONSTRAINT split_or_suspense CHECK (
        (shares IS NULL) = (bill IS NULL) AND (plan IS NULL) = (bill IS NULL)
        AND (sequence IS NULL) = (bill IS NULL)
        AND (commissions IS NULL) = (commission = 0))
);
CREATE INDEX payments_by_account ON payments (subscriber_account, id);
CREATE INDEX payments_in_suspense ON payments (id) WHERE bill IS NULL;
CREATE INDEX payments_by_batch ON payments USING brin (settlement_batch) WITH (autosummarize = on);
CREATE TRIGGER payments_are_added BEFORE UPDATE OR DELETE ON payments
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Suspense that an operator placed: the split of a payment taken earlier.
CREATE TABLE resolutions (
    payment            uuid NOT NULL,
    resolved_at        timestamptz NOT NULL,
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    commission         bigint NOT NULL CHECK (commission BETWEEN 0 AND amount),
    bill               bigint NOT NULL,
    terms_version      bigint NOT NULL,
    caller             integer NOT NULL,
    settlement_batch   integer NOT NULL,
    sequence           integer NOT NULL,
    plan               integer NOT NULL,
    subscriber_account text NOT NULL,
    shares             bytea NOT NULL CHECK (packed_sum(shares) = amount),
    commissions        bytea CHECK (packed_sum(commissions) = commission),
    PRIMARY KEY (payment, subscriber_account),
    CHECK ((commissions IS NULL) = (commission = 0))
);
CREATE INDEX resolutions_by_account ON resolutions (subscriber_account);
CREATE INDEX resolutions_by_batch ON resolutions (settlement_batch);
CREATE TRIGGER resolutions_are_added BEFORE UPDATE OR DELETE ON resolutions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Money given back. shares and plan are null where it came out of suspense.
CREATE TABLE refunds (
    id                 uuid NOT NULL,
    payment            uuid NOT NULL,
    refunded_at        timestamptz NOT NULL,
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    caller             integer NOT NULL,
    settlement_batch   integer NOT NULL,
    sequence           integer,
    plan               integer,
    subscriber_account text NOT NULL,
    shares             bytea CHECK (packed_sum(shares) = amount),
    PRIMARY KEY (id, subscriber_account),
    CHECK ((shares IS NULL) = (plan IS NULL) AND (sequence IS NULL) = (plan IS NULL))
);
CREATE INDEX refunds_by_payment ON refunds (payment);
CREATE INDEX refunds_by_batch ON refunds (settlement_batch);
CREATE TRIGGER refunds_are_added BEFORE UPDATE OR DELETE ON refunds
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Plain views for SQL users -----------------------------------------------------------------

-- Each split that was ever done: at acceptance, or when suspense was resolved.
CREATE VIEW allocations AS
    SELECT id AS payment, subscriber_account, settlement_batch, accepted_at AS at, bill, plan,
           sequence, terms_version, amount, commission, shares, commissions
    FROM payments WHERE bill IS NOT NULL
    UNION ALL
    SELECT payment, subscriber_account, settlement_batch, resolved_at, bill, plan,
           sequence, terms_version, amount, commission, shares, commissions
    FROM resolutions;

-- One row for each share, refunds as negative rows.
CREATE VIEW shares AS
    SELECT a.payment, NULL::uuid AS refund, a.subscriber_account, a.settlement_batch, a.at,
           a.bill, s.place, part.charge, part.service, part.recipient, s.kopecks AS amount_kopecks
    FROM allocations AS a
    CROSS JOIN LATERAL unpack(a.shares) AS s
    JOIN split_plan_parts AS part ON part.plan = a.plan AND part.place = s.place
    WHERE s.kopecks > 0
    UNION ALL
    SELECT r.payment, r.id, r.subscriber_account, r.settlement_batch, r.refunded_at,
           NULL, s.place, part.charge, part.service, part.recipient, -s.kopecks
    FROM refunds AS r
    CROSS JOIN LATERAL unpack(r.shares) AS s
    JOIN split_plan_parts AS part ON part.plan = r.plan AND part.place = s.place
    WHERE s.kopecks > 0;

-- What was withheld from each recipient of each payment.
CREATE VIEW commissions AS
    SELECT a.payment, a.subscriber_account, a.settlement_batch, r.recipient,
           c.kopecks AS commission_kopecks
    FROM allocations AS a
    CROSS JOIN LATERAL unpack(a.commissions) AS c
    JOIN split_plan_recipients AS r ON r.plan = a.plan AND r.place = c.place
    WHERE c.kopecks > 0;

-- Double entry, derived from the rows above: every event debits one ledger account and credits
-- another, and the shares come from the packed vectors, not from the amounts beside them.
CREATE VIEW ledger AS
    SELECT settlement_batch, 'acquirer' AS ledger_account, total AS debit_kopecks,
           0::bigint AS credit_kopecks FROM payments
    UNION ALL
    SELECT settlement_batch, 'surcharge', 0, surcharge FROM payments
    UNION ALL
    SELECT settlement_batch, 'suspense', 0, amount FROM payments WHERE bill IS NULL
    UNION ALL
    SELECT settlement_batch, 'suspense', amount, 0 FROM resolutions
    UNION ALL
    SELECT settlement_batch, 'recipients', coalesce(packed_sum(commissions), 0),
           packed_sum(shares) FROM allocations
    UNION ALL
    SELECT settlement_batch, 'commission', 0, coalesce(packed_sum(commissions), 0)
    FROM allocations
    UNION ALL
    SELECT settlement_batch, CASE WHEN shares IS NULL THEN 'suspense' ELSE 'recipients' END,
           coalesce(packed_sum(shares), amount), 0 FROM refunds
    UNION ALL
    SELECT settlement_batch, 'acquirer', 0, amount FROM refunds;

CREATE VIEW trial_balance AS
    SELECT ledger_account, sum(debit_kopecks)::bigint AS debit_kopecks,
           sum(credit_kopecks)::bigint AS credit_kopecks,
           sum(credit_kopecks - debit_kopecks)::bigint AS balance_kopecks
    FROM ledger GROUP BY ledger_account;
