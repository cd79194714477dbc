-- A payment that was split beforehand, and on the last of its account in the group what is then
-- `paid` on the open bill, whose sequence `seen` was: one array costs half of two.
CREATE TYPE new_payment AS (
    id uuid, caller integer, route smallint, key text, fingerprint bytea, subscriber_account text,
    paid_at timestamptz, amount bigint, surcharge bigint, commission bigint, bill bigint,
    sequence integer, plan integer, method smallint, shares bytea, commissions bytea, facts json,
    designation json, reference text, seen integer, paid bytea);

-- As commit_at_once, at a lower cost: a key that is not new is refused by the primary key itself
-- (SQLSTATE 23505), so that nothing has to be looked up before and confirmed after, and the
-- settings that plan it by index are the session's. Gateways of the version before call the others
-- still.
CREATE FUNCTION commit_new(
    cut_lock bigint, expected_terms bigint, moment timestamptz,
    split new_payment[], bills bigint)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    batch integer;
    version bigint;
    done bigint;
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
    WHERE o.subscriber_account = u.subscriber_account AND o.bill = u.bill AND o.sequence = u.seen;
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
