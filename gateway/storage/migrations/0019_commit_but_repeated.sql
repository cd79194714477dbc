-- As commit_at_once, for groups in which some keys may have been used before: an acquirer whose
-- network failed sends everything again. Payments whose keys were there are left out with what they
-- would have made paid, the others are made, and the ids left out are told; null where none were.
-- What was left out must not have been split before another payment to its account; then, as where
-- anything else is not as it was, all is undone (SQLSTATE KP001).
CREATE FUNCTION commit_but_repeated(
    cut_lock bigint, expected_terms bigint, moment timestamptz,
    split split_payment[], bills bill_paid[])
RETURNS uuid[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    batch integer;
    version bigint;
    done bigint;
    claimed split_payment[] := split;
    left_out uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(cut_lock);
    INSERT INTO idempotency_keys (caller, key, route, fingerprint, subscriber_account, resource)
    SELECT u.caller, u.key, u.route, u.fingerprint, u.subscriber_account, u.id
    FROM unnest(split) AS u
    ON CONFLICT (caller, key) DO NOTHING;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> cardinality(split) THEN
        -- Of this very group a commit may be there already that nobody was told of.
        claimed := ARRAY (
            SELECT u FROM unnest(split) AS u
            JOIN idempotency_keys AS k ON k.caller = u.caller AND k.key = u.key
            WHERE k.xmin = pg_current_xact_id()::xid);
        left_out := ARRAY (
            SELECT u.id FROM unnest(split) AS u
            WHERE u.id NOT IN (SELECT c.id FROM unnest(claimed) AS c));
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
    UPDATE open_bills AS o SET paid = u.paid, sequence = u.sequence
    FROM (SELECT b.* FROM unnest(bills) AS b ORDER BY b.subscriber_account) AS u
    WHERE o.subscriber_account = u.subscriber_account AND o.bill = u.bill AND o.sequence = u.seen;
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
