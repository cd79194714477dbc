-- What a group that was split beforehand brings: its payments, and what they make paid on bills.
CREATE TYPE split_payment AS (
    id uuid, caller integer, route smallint, key text, fingerprint bytea, subscriber_account text,
    paid_at timestamptz, amount bigint, surcharge bigint, commission bigint, bill bigint,
    sequence integer, plan integer, method smallint, shares bytea, commissions bytea, facts json,
    designation json, reference text);
CREATE TYPE bill_paid AS (
    subscriber_account text, bill bigint, seen integer, paid bytea, sequence integer);

-- A whole small commit group that was split beforehand, in one statement: nobody waits for the
-- worker between the locks and the commit. What the split was made of is looked at again under the
-- locks; where anything is not as it was, all is undone (SQLSTATE KP001) and the group has to be
-- begun and split the long way. The order of locks is that of begin_group, so that groups cannot
-- deadlock: the cut, the keys in the order given, the open bills in the database's order of
-- accounts. One array of rows costs half of an array a column, here and where it is sent from.
CREATE FUNCTION commit_at_once(
    cut_lock bigint, expected_terms bigint, moment timestamptz,
    split split_payment[], bills bill_paid[])
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
    SELECT u.caller, u.key, u.route, u.fingerprint, u.subscriber_account, u.id
    FROM unnest(split) AS u
    ON CONFLICT (caller, key) DO NOTHING;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> cardinality(split) THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'a key was there before';
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
    FROM unnest(split) AS u;
END
$$;

-- The open bills of these accounts (parted by spaces, which none has) as they are now, for who will
-- look again under their locks.
CREATE FUNCTION find_open_bills(accounts text)
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
        FROM open_bills AS o WHERE o.subscriber_account = ANY (string_to_array(accounts, ' '));
END
$$;


-- The last line: what must hold of every payment, whatever the program does. One call, for a
-- statement reads the text of each of its table's constraints again, which costs a payment that
-- comes alone more than all else that is written of it. The sums are given to it, for a restored
-- dump finds no function by its bare name.
CREATE FUNCTION payment_holds(
    amount bigint, surcharge bigint, total bigint, commission bigint, bill bigint,
    sequence integer, plan integer, method smallint, subscriber_account text, shares bytea,
    shares_sum bigint, commissions bytea, commissions_sum bigint)
RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN amount BETWEEN 1 AND 10000000000000 AND surcharge >= 0 AND total = amount + surcharge
        AND commission BETWEEN 0 AND amount AND method BETWEEN 0 AND 6
        AND length(subscriber_account) BETWEEN 1 AND 30
        AND (bill IS NULL) = (shares IS NULL) AND (bill IS NULL) = (plan IS NULL)
        AND (bill IS NULL) = (sequence IS NULL) AND (commissions IS NULL) = (commission = 0)
        AND (shares IS NULL OR shares_sum = amount)
        AND (commissions IS NULL OR commissions_sum = commission);
END
$$;
ALTER TABLE payments
    DROP CONSTRAINT payments_amount_check, DROP CONSTRAINT payments_surcharge_check,
    DROP CONSTRAINT payments_check, DROP CONSTRAINT payments_check1,
    DROP CONSTRAINT payments_check2, DROP CONSTRAINT payments_check3,
    DROP CONSTRAINT payments_method_check, DROP CONSTRAINT payments_subscriber_account_check,
    DROP CONSTRAINT split_or_suspense,
    ADD CONSTRAINT payment_holds CHECK (payment_holds(
        amount, surcharge, total, commission, bill, sequence, plan, method, subscriber_account,
        shares, packed_sum(shares), commissions, packed_sum(commissions)));
