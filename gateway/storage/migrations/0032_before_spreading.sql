-- What a schema that is spread over nodes does in another way stands in functions, so that gateways
-- ask for it in the same words.

-- The open bills of these accounts (parted by spaces), which nobody else splits a payment to until
-- the commit; locked in the order of accounts, so that groups cannot wait for each other.
CREATE FUNCTION lock_open_bills(accounts text)
RETURNS TABLE (
    subscriber_account text, bill bigint, period text, plan integer, overpayment smallint,
    sequence integer, counts_from integer, due bytea, weight bytea, paid bytea)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT o.subscriber_account, o.bill, o.period, o.plan, o.overpayment, o.sequence,
               o.counts_from, o.due, o.weight, o.paid
        FROM open_bills AS o WHERE o.subscriber_account = ANY (string_to_array(accounts, ' '))
        ORDER BY o.subscriber_account FOR UPDATE;
END
$$;

-- Returns when whatever was committed before is seen by who asks, on every node. One server shows
-- it from the commit on.
CREATE FUNCTION all_is_seen() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
END
$$;

-- Makes a connection one for commit groups alone, which look up their own accounts and keys:
-- planned once a session, by index, whatever the tables' size was at that moment. Planning costs a
-- small group more than its rows do.
CREATE FUNCTION plan_by_index() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', false),
            set_config('enable_seqscan', 'off', false),
            set_config('enable_bitmapscan', 'off', false),
            set_config('enable_hashjoin', 'off', false),
            set_config('enable_mergejoin', 'off', false);
END
$$;

-- Of these keys, those that somebody claimed before this transaction: what it claimed itself is not
-- "before", though it sees its own rows.
CREATE FUNCTION claims_before(callers integer[], keys text[])
RETURNS TABLE (
    caller integer, key text, route smallint, fingerprint bytea, resource uuid, answer bytea)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT k.caller, k.key, k.route, k.fingerprint, k.resource, k.answer
        FROM unnest(callers, keys) AS u (caller, key)
        JOIN idempotency_keys AS k ON k.caller = u.caller AND k.key = u.key
        WHERE k.xmin IS DISTINCT FROM pg_current_xact_id_if_assigned()::xid;
END
$$;

-- What the last bills of these accounts before a moment say of their payers; the first that is met
-- of each account's bills, backwards.
CREATE FUNCTION payers_before(accounts text[], moment timestamptz)
RETURNS TABLE (account text, payer jsonb)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT a.account, b.payer FROM unnest(accounts) AS a (account)
        CROSS JOIN LATERAL (SELECT o.payer FROM bills AS o
                            WHERE o.subscriber_account = a.account AND o.loaded_at <= moment
                            ORDER BY o.number DESC LIMIT 1) AS b
        WHERE b.payer IS NOT NULL;
END
$$;
