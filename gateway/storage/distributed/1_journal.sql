-- The journal's functions as Citus can plan them. Each statement is asked on the coordinator and
-- goes to the shards of the accounts or keys that it names, within one transaction that all nodes
-- commit together (two phases). Rows alone are locked: each shard has one copy, so whoever comes
-- second to a row waits for it there, and the locks of whole shards that Citus takes besides, for
-- copies that might part, are told to be needless here. Nodes work side by side, so two groups that
-- share two accounts, or two keys, on two nodes may wait for each other crosswise: Citus finds that
-- and ends one (SQLSTATE 40P01), which is sent again.

-- Accounts by the shard that they are on.
CREATE OR REPLACE FUNCTION by_shard(accounts text[]) RETURNS TABLE (accounts_there text[])
LANGUAGE sql STABLE AS $$
    SELECT array_agg(a.account ORDER BY a.account)
    FROM (SELECT DISTINCT u.account,
                 get_shard_id_for_distribution_column('open_bills', u.account) AS shard
          FROM unnest(accounts) AS u (account)) AS a
    GROUP BY a.shard ORDER BY a.shard
$$;

-- The open bills are locked by a statement for each shard, in one order: Citus locks rows for a
-- statement on one shard alone.
CREATE OR REPLACE FUNCTION begin_group(
    cut_lock bigint, callers integer[], routes smallint[], keys text[], fingerprints bytea[],
    accounts text[], resources uuid[])
RETURNS TABLE (
    settlement_batch integer, terms_version bigint, claimed bigint, subscriber_account text,
    bill bigint, period text, plan integer, overpayment smallint, sequence integer,
    counts_from integer, due bytea, weight bytea, paid bytea)
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
SET citus.all_modifications_commutative = on
AS $$
#variable_conflict use_column
DECLARE
    batch integer;
    version bigint;
    fresh bigint;
    told boolean := false;
    there text[];
    one uuid;
    made uuid[] := '{}';
BEGIN
    PERFORM pg_advisory_xact_lock_shared(cut_lock);
    -- What was claimed is told by RETURNING alone: Citus counts the rows that it tried to add.
    FOR one IN
        INSERT INTO idempotency_keys
            (caller, key, route, fingerprint, subscriber_account, resource)
        SELECT u.* FROM unnest(callers, keys, routes, fingerprints, accounts, resources) AS u
        ON CONFLICT (caller, key) DO NOTHING RETURNING resource
    LOOP
        made := made || one;
    END LOOP;
    fresh := cardinality(made);
    PERFORM set_config('kopeck.claimed', made::text, true);
    SELECT c.settlement_batch, c.terms_version INTO batch, version FROM cut AS c;
    FOR there IN SELECT b.accounts_there FROM by_shard(accounts) AS b LOOP
        RETURN QUERY
            SELECT batch, version, fresh, o.subscriber_account, o.bill, o.period, o.plan,
                   o.overpayment, o.sequence, o.counts_from, o.due, o.weight, o.paid
            FROM open_bills AS o WHERE o.subscriber_account = ANY (there) AND o.bill > 0
            ORDER BY o.subscriber_account FOR UPDATE;
        told := told OR FOUND;
    END LOOP;
    IF NOT told THEN
        RETURN QUERY SELECT batch, version, fresh, NULL::text, NULL::bigint, NULL::text,
            NULL::integer, NULL::smallint, NULL::integer, NULL::integer, NULL::bytea,
            NULL::bytea, NULL::bytea;
    END IF;
END
$$;

-- What begin_group claimed in this transaction it has noted: transaction ids are a node's own.
CREATE OR REPLACE FUNCTION claims_before(callers integer[], keys text[])
RETURNS TABLE (
    caller integer, key text, route smallint, fingerprint bytea, resource uuid, answer bytea)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    made uuid[] := current_setting('kopeck.claimed')::uuid[];
BEGIN
    RETURN QUERY
        SELECT k.caller, k.key, k.route, k.fingerprint, k.resource, k.answer
        FROM unnest(callers, keys) AS u (caller, key)
        JOIN idempotency_keys AS k ON k.caller = u.caller AND k.key = u.key
        WHERE k.key = ANY (keys) AND (k.resource IS NULL OR k.resource <> ALL (made));
END
$$;

CREATE OR REPLACE FUNCTION save_paid(accounts text[], paid_now bytea[], sequences integer[])
RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
SET citus.all_modifications_commutative = on
AS $$
BEGIN
    UPDATE open_bills AS o SET paid = u.paid_now, sequence = u.sequence
    FROM unnest(accounts, paid_now, sequences) AS u (account, paid_now, sequence)
    WHERE o.subscriber_account = u.account AND o.subscriber_account = ANY (accounts);
END
$$;

CREATE OR REPLACE FUNCTION find_open_bills(accounts text)
RETURNS TABLE (
    subscriber_account text, bill bigint, period text, plan integer, overpayment smallint,
    sequence integer, counts_from integer, due bytea, weight bytea, paid bytea)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    named text[] := string_to_array(accounts, ' ');
BEGIN
    RETURN QUERY
        SELECT o.subscriber_account, o.bill, o.period, o.plan, o.overpayment, o.sequence,
               o.counts_from, o.due, o.weight, o.paid
        FROM open_bills AS o WHERE o.subscriber_account = ANY (named);
END
$$;

CREATE OR REPLACE FUNCTION lock_open_bills(accounts text)
RETURNS TABLE (
    subscriber_account text, bill bigint, period text, plan integer, overpayment smallint,
    sequence integer, counts_from integer, due bytea, weight bytea, paid bytea)
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    there text[];
BEGIN
    FOR there IN SELECT b.accounts_there FROM by_shard(string_to_array(accounts, ' ')) AS b LOOP
        RETURN QUERY
            SELECT o.subscriber_account, o.bill, o.period, o.plan, o.overpayment, o.sequence,
                   o.counts_from, o.due, o.weight, o.paid
            FROM open_bills AS o WHERE o.subscriber_account = ANY (there)
            ORDER BY o.subscriber_account FOR UPDATE;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION commit_new(
    cut_lock bigint, expected_terms bigint, moment timestamptz,
    split new_payment[], bills bigint)
RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
SET citus.all_modifications_commutative = on
AS $$
DECLARE
    batch integer;
    version bigint;
    done bigint;
    accounts text[] := ARRAY (
        SELECT s.subscriber_account FROM unnest(split) AS s WHERE s.paid IS NOT NULL);
BEGIN
    PERFORM pg_advisory_xact_lock_shared(cut_lock);
    INSERT INTO idempotency_keys (caller, key, route, fingerprint, subscriber_account, resource)
    SELECT u.caller, u.key, u.route, u.fingerprint, u.subscriber_account, u.id
    FROM unnest(split) AS u;
    SELECT settlement_batch, terms_version INTO batch, version FROM cut;
    IF version <> expected_terms THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'other fee rules are in force';
    END IF;
    UPDATE open_bills AS o SET paid = u.paid, sequence = u.sequence
    FROM (SELECT s.subscriber_account, s.bill, s.seen, s.paid, s.sequence FROM unnest(split) AS s
          WHERE s.paid IS NOT NULL ORDER BY s.subscriber_account) AS u
    WHERE o.subscriber_account = u.subscriber_account AND o.bill = u.bill AND o.sequence = u.seen
      AND o.subscriber_account = ANY (accounts);
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> bills THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'a bill was paid or replaced meanwhile';
    END IF;
    INSERT INTO payments
        (id, accepted_at, paid_at, amount, surcharge, total, commission, bill, terms_version,
         caller, settlement_batch, sequence, plan, method, subscriber_account, shares, commissions,
         facts, designation, reference)
    SELECT u.id, moment, u.paid_at, u.amount, u.surcharge, u.amount + u.surcharge, u.commission,
           u.bill, version, u.caller, batch, u.sequence, u.plan, u.method, u.subscriber_account,
           u.shares, u.commissions, u.facts, u.designation, u.reference
    FROM unnest(split) AS u;
END
$$;

CREATE OR REPLACE FUNCTION commit_group(
    cut_lock bigint, expected_terms bigint, moment timestamptz,
    split sent_payment[], bills bigint)
RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
SET citus.all_modifications_commutative = on
AS $$
DECLARE
    batch integer;
    version bigint;
    done bigint;
    accounts text[] := ARRAY (
        SELECT s.subscriber_account FROM unnest(split) AS s WHERE s.paid IS NOT NULL);
BEGIN
    PERFORM pg_advisory_xact_lock_shared(cut_lock);
    INSERT INTO idempotency_keys (caller, key, route, fingerprint, subscriber_account, resource)
    SELECT u.caller, u.key, u.route, u.fingerprint, u.subscriber_account, u.id
    FROM unnest(split) AS u;
    SELECT settlement_batch, terms_version INTO batch, version FROM cut;
    IF version <> expected_terms THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'other fee rules are in force';
    END IF;
    UPDATE open_bills AS o SET paid = u.paid, sequence = u.sequence
    FROM (SELECT s.subscriber_account, s.bill, s.seen, s.paid, s.sequence FROM unnest(split) AS s
          WHERE s.paid IS NOT NULL ORDER BY s.subscriber_account) AS u
    WHERE o.subscriber_account = u.subscriber_account AND o.bill = u.bill AND o.sequence = u.seen
      AND o.subscriber_account = ANY (accounts);
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> bills THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'a bill was paid or replaced meanwhile';
    END IF;
    INSERT INTO payments
        (id, accepted_at, paid_at, amount, surcharge, total, commission, bill, terms_version,
         caller, settlement_batch, sequence, plan, method, subscriber_account, shares, commissions,
         facts, designation, reference)
    SELECT u.id, moment, u.paid_at, u.amount, u.surcharge, u.amount + u.surcharge, u.commission,
           u.bill, version, u.caller, batch, u.sequence, u.plan, u.method, u.subscriber_account,
           u.shares, u.commissions, u.facts, u.designation, u.reference
    FROM unnest(split) AS u;
END
$$;

-- Which keys this statement claimed is told by the INSERT itself: transaction ids are a node's own.
CREATE OR REPLACE FUNCTION commit_but_repeated(
    cut_lock bigint, expected_terms bigint, moment timestamptz,
    split split_payment[], bills bill_paid[])
RETURNS uuid[]
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
SET citus.all_modifications_commutative = on
AS $$
DECLARE
    batch integer;
    version bigint;
    done bigint;
    one uuid;
    made uuid[] := '{}';
    claimed split_payment[] := split;
    accounts text[];
    left_out uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(cut_lock);
    FOR one IN
        INSERT INTO idempotency_keys
            (caller, key, route, fingerprint, subscriber_account, resource)
        SELECT u.caller, u.key, u.route, u.fingerprint, u.subscriber_account, u.id
        FROM unnest(split) AS u
        ON CONFLICT (caller, key) DO NOTHING RETURNING resource
    LOOP
        made := made || one;
    END LOOP;
    IF cardinality(made) <> cardinality(split) THEN
        claimed := ARRAY (SELECT u FROM unnest(split) AS u WHERE u.id = ANY (made));
        left_out := ARRAY (SELECT u.id FROM unnest(split) AS u WHERE u.id <> ALL (made));
        IF EXISTS (SELECT FROM unnest(split) AS u
                   WHERE u.id = ANY (left_out)
                     AND u.subscriber_account IN (SELECT c.subscriber_account
                                                  FROM unnest(claimed) AS c)) THEN
            RAISE SQLSTATE 'KP001' USING MESSAGE = 'a payment of the same account was there before';
        END IF;
        bills := ARRAY (
            SELECT b FROM unnest(bills) AS b
            WHERE b.subscriber_account IN (SELECT c.subscriber_account FROM unnest(claimed) AS c));
    END IF;
    SELECT settlement_batch, terms_version INTO batch, version FROM cut;
    IF version <> expected_terms THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'other fee rules are in force';
    END IF;
    accounts := ARRAY (SELECT b.subscriber_account FROM unnest(bills) AS b);
    UPDATE open_bills AS o SET paid = u.paid, sequence = u.sequence
    FROM (SELECT b.* FROM unnest(bills) AS b ORDER BY b.subscriber_account) AS u
    WHERE o.subscriber_account = u.subscriber_account AND o.bill = u.bill AND o.sequence = u.seen
      AND o.subscriber_account = ANY (accounts);
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> cardinality(bills) THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'a bill was paid or replaced meanwhile';
    END IF;
    INSERT INTO payments
        (id, accepted_at, paid_at, amount, surcharge, total, commission, bill, terms_version,
         caller, settlement_batch, sequence, plan, method, subscriber_account, shares, commissions,
         facts, designation, reference)
    SELECT u.id, moment, u.paid_at, u.amount, u.surcharge, u.amount + u.surcharge, u.commission,
           u.bill, version, u.caller, batch, u.sequence, u.plan, u.method, u.subscriber_account,
           u.shares, u.commissions, u.facts, u.designation, u.reference
    FROM unnest(claimed) AS u;
    RETURN left_out;
END
$$;

-- Gateways of an earlier version alone call it, and none of those knows a spread schema.
DROP FUNCTION IF EXISTS commit_at_once(
    bigint, bigint, timestamptz, split_payment[], bill_paid[]);

-- A node that fell between the two phases of a commit shows nothing of it until it is told how that
-- ended. Who counts a batch tells all nodes, and does not count while one is still to be told.
CREATE OR REPLACE FUNCTION all_is_seen() RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    waiting bigint;
BEGIN
    PERFORM recover_prepared_transactions();
    SELECT coalesce(sum(r.result::bigint), 0) INTO waiting
    FROM run_command_on_all_nodes($sql$
        SELECT count(*) FROM pg_prepared_xacts
        WHERE database = current_database() AND gid LIKE 'citus\_%'
          AND prepared < now() - interval '10 seconds'
    $sql$) AS r WHERE r.success;
    IF waiting > 0 THEN
        RAISE SQLSTATE '55006'
            USING MESSAGE = 'commits are not finished on some node, so nothing can be counted';
    END IF;
END
$$;

-- One that is not parsed into the question that it stands in.
CREATE OR REPLACE FUNCTION agreements_in_force(version bigint, moment timestamptz)
RETURNS SETOF approved_agreements
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
        SELECT DISTINCT ON (v.recipient, v.acquirer) v.*
        FROM approved_agreements AS v
        WHERE v.terms_version <= version AND v.begins_at <= moment
          AND (v.ends_at IS NULL OR v.ends_at > moment)
        ORDER BY v.recipient, v.acquirer, v.valid_from DESC, v.terms_version DESC;
END
$$;

-- Which shards a statement goes to is found from its values: each is planned with them.
CREATE OR REPLACE FUNCTION plan_by_index() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('plan_cache_mode', 'force_custom_plan', false);
END
$$;
