-- A whole small commit group that was split beforehand, in one statement: nobody waits for the
-- worker between the locks and the commit. What the split was made of is looked at again under the
-- locks; where anything is not as it was, all is undone (SQLSTATE KP001) and the group has to be
-- begun and split the long way. The order of locks is that of begin_group: the cut, the keys and
-- the open bills, both in the order they are given.
-- Arrays have an entry a payment, those from bill_accounts to new_sequences one for each account
-- that has an open bill.
CREATE FUNCTION commit_at_once(
    cut_lock bigint, expected_terms bigint, moment timestamptz,
    callers integer[], routes smallint[], keys text[], fingerprints bytea[],
    accounts text[], payment_ids uuid[],
    bill_accounts text[], bill_numbers bigint[], bill_sequences integer[], paid_now bytea[],
    new_sequences integer[],
    moments_paid timestamptz[], amounts bigint[], surcharges bigint[], withheld bigint[],
    bills bigint[], sequences integer[], plans integer[], methods smallint[], packed_shares bytea[],
    packed_commissions bytea[], method_facts text[], designations text[], caller_references text[])
RETURNS void
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
BEGIN
    PERFORM pg_advisory_xact_lock_shared(cut_lock);
    INSERT INTO idempotency_keys (caller, key, route, fingerprint, subscriber_account, resource)
    SELECT * FROM unnest(callers, keys, routes, fingerprints, accounts, payment_ids)
    ON CONFLICT (caller, key) DO NOTHING;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> cardinality(keys) THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'a key was there before';
    END IF;
    SELECT settlement_batch, terms_version INTO batch, version FROM cut;
    IF version <> expected_terms THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'other fee rules are in force';
    END IF;
    UPDATE open_bills AS o SET paid = u.paid, sequence = u.sequence
    FROM unnest(bill_accounts, bill_numbers, bill_sequences, paid_now, new_sequences)
        AS u (account, bill, seen, paid, sequence)
    WHERE o.subscriber_account = u.account AND o.bill = u.bill AND o.sequence = u.seen;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> cardinality(bill_accounts) THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'a bill was paid or replaced meanwhile';
    END IF;
    INSERT INTO payments
        (id, accepted_at, paid_at, amount, surcharge, total, commission, bill, terms_version,
         caller, settlement_batch, sequence, plan, method, subscriber_account, shares, commissions,
         facts, designation, reference)
    SELECT u.id, moment, u.paid_at, u.amount, u.surcharge, u.amount + u.surcharge, u.commission,
           u.bill, version, u.caller, batch, u.sequence, u.plan, u.method, u.account, u.shares,
           u.commissions, u.facts::json, u.designation::json, u.reference
    FROM unnest(payment_ids, moments_paid, amounts, surcharges, withheld, bills, callers, sequences,
                plans, methods, accounts, packed_shares, packed_commissions, method_facts,
                designations, caller_references)
        AS u (id, paid_at, amount, surcharge, commission, bill, caller, sequence, plan, method,
              account, shares, commissions, facts, designation, reference);
END
$$;

-- The open bills of these accounts as they are now, for who will look again under their locks.
CREATE FUNCTION find_open_bills(accounts text[])
RETURNS TABLE (
    subscriber_account text, bill bigint, period text, plan integer, overpayment smallint,
    sequence integer, counts_from integer, due bytea, weight bytea, paid bytea)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT o.subscriber_account, o.bill, o.period, o.plan, o.overpayment, o.sequence,
               o.counts_from, o.due, o.weight, o.paid
        FROM open_bills AS o WHERE o.subscriber_account = ANY (accounts);
END
$$;
