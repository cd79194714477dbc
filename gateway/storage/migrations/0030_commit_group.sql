-- A payment that was split beforehand, in the order in which its bytes are cheapest to make; on the
-- last of its account in the group also what is then `paid` on the open bill, whose sequence `seen`
-- was.
CREATE TYPE sent_payment AS (
    id uuid, caller integer, route smallint, method smallint, amount bigint, surcharge bigint,
    commission bigint, fingerprint bytea, bill bigint, plan integer, sequence integer,
    shares bytea, commissions bytea, seen integer, paid bytea, key text, subscriber_account text,
    facts json, paid_at timestamptz, designation json, reference text);

-- As commit_new, which gateways of the version before still call.
CREATE FUNCTION commit_group(
    cut_lock bigint, expected_terms bigint, moment timestamptz, split sent_payment[], bills bigint)
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

-- The same for a payment that comes alone: nothing to lay out three times over, a statement less,
-- and the lock taken by an expression and not by a query.
CREATE FUNCTION commit_one(
    cut_lock bigint, expected_terms bigint, moment timestamptz, split sent_payment[], bills bigint)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    u sent_payment := split[1];
    done bigint;
BEGIN
    -- A void is never null.
    IF pg_advisory_xact_lock_shared(cut_lock) IS NULL OR cardinality(split) <> 1 THEN
        RAISE EXCEPTION 'expected one payment';
    END IF;
    INSERT INTO idempotency_keys (caller, key, route, fingerprint, subscriber_account, resource)
    VALUES (u.caller, u.key, u.route, u.fingerprint, u.subscriber_account, u.id);
    UPDATE open_bills AS o SET paid = u.paid, sequence = u.sequence
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
           u.bill, c.terms_version, u.caller, c.settlement_batch, u.sequence, u.plan, u.method,
           u.subscriber_account, u.shares, u.commissions, u.facts, u.designation, u.reference
    FROM cut AS c WHERE c.terms_version = expected_terms;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done <> 1 THEN
        RAISE SQLSTATE 'KP001' USING MESSAGE = 'other fee rules are in force';
    END IF;
END
$$;
