-- What each node runs for itself, beside its shards.

-- On a shard a table has another name.
CREATE OR REPLACE FUNCTION agreement_names_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME LIKE 'agreements%' THEN
        IF NEW.proposed_by_name IS DISTINCT FROM
                (SELECT c.name FROM callers AS c WHERE c.number = NEW.proposed_by) THEN
            RAISE EXCEPTION 'an agreement is proposed under another name than its caller has';
        END IF;
    ELSIF NEW.decided_by_name IS DISTINCT FROM
            (SELECT c.name FROM callers AS c WHERE c.number = NEW.decided_by) THEN
        RAISE EXCEPTION 'an agreement is decided under another name than its caller has';
    END IF;
    RETURN NEW;
END
$$;
