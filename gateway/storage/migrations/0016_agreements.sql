-- Agreements: what was agreed with a recipient, or with an acquirer, from a day on. A version is
-- proposed by one person and decided by another; neither is ever changed. What was split by one
-- says so by its terms version and its moment.

CREATE TABLE agreements (
    id                    uuid PRIMARY KEY,
    recipient             integer REFERENCES recipients,
    -- A caller's name: what it keeps for itself is the centre's cost and nobody else's.
    acquirer              text CHECK (length(acquirer) BETWEEN 1 AND 64),
    contract              text NOT NULL CHECK (length(contract) BETWEEN 1 AND 160),
    valid_from            date NOT NULL,
    -- The last day; null where no end was agreed.
    valid_until           date CHECK (valid_until >= valid_from),
    time_zone             text NOT NULL CHECK (length(time_zone) BETWEEN 1 AND 64),
    -- These days as moments in that zone, as it was known when the version was proposed.
    begins_at             timestamptz NOT NULL,
    ends_at               timestamptz CHECK (ends_at > begins_at),
    -- When a day ends for this recipient, in that zone; null where the centre's own day counts.
    cut_off               time,
    minimum_payout        bigint NOT NULL
                          CHECK (minimum_payout BETWEEN 0 AND 10000000000000),
    carry_days            smallint NOT NULL CHECK (carry_days BETWEEN 0 AND 31),
    report_format         text CHECK (report_format IN ('csv', 'json', 'xlsx')),
    -- Requisites; null where the recipient's own stand.
    name                  text CHECK (length(name) BETWEEN 1 AND 160),
    inn                   text,
    kpp                   text,
    bic                   text CHECK (length(bic) = 9),
    account               text CHECK (length(account) = 20),
    correspondent_account text CHECK (length(correspondent_account) = 20),
    bank_name             text CHECK (length(bank_name) BETWEEN 1 AND 160),
    proposed_at           timestamptz NOT NULL,
    proposed_by           integer NOT NULL REFERENCES callers,
    -- The name that the key stood for: two keys of one name are one person.
    proposed_by_name      text NOT NULL,
    UNIQUE (id, proposed_by_name),
    CONSTRAINT one_party CHECK ((recipient IS NULL) <> (acquirer IS NULL)),
    CONSTRAINT ends_as_it_says CHECK ((valid_until IS NULL) = (ends_at IS NULL)),
    CONSTRAINT whole_requisites CHECK (
        (name IS NULL) = (inn IS NULL) AND (name IS NULL) = (bic IS NULL)
        AND (name IS NULL) = (account IS NULL)
        AND (name IS NOT NULL OR (kpp IS NULL AND correspondent_account IS NULL
                                  AND bank_name IS NULL)))
);
CREATE INDEX agreements_by_recipient ON agreements (recipient, id);
CREATE TRIGGER agreements_are_added BEFORE UPDATE OR DELETE ON agreements
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The cells of a version's tariffs. `channel` is a way to pay, `payer_category` what the bill says
-- of its payer; null is any. Null fees are no fee: a cell says all that is taken where it holds.
CREATE TABLE agreement_tariffs (
    agreement      uuid NOT NULL REFERENCES agreements,
    place          smallint NOT NULL CHECK (place BETWEEN 0 AND 255),
    channel        smallint CHECK (channel BETWEEN 0 AND 6),
    payer_category text CHECK (length(payer_category) BETWEEN 1 AND 64),
    above_ppm      integer CHECK (above_ppm BETWEEN 0 AND 1000000),
    above_fixed    bigint CHECK (above_fixed BETWEEN 0 AND 10000000000000),
    above_min      bigint CHECK (above_min BETWEEN 0 AND 10000000000000),
    above_max      bigint CHECK (above_max BETWEEN above_min AND 10000000000000),
    below_ppm      integer CHECK (below_ppm BETWEEN 0 AND 1000000),
    below_fixed    bigint CHECK (below_fixed BETWEEN 0 AND 10000000000000),
    below_min      bigint CHECK (below_min BETWEEN 0 AND 10000000000000),
    below_max      bigint CHECK (below_max BETWEEN below_min AND 10000000000000),
    PRIMARY KEY (agreement, place),
    UNIQUE NULLS NOT DISTINCT (agreement, channel, payer_category),
    CHECK ((above_ppm IS NULL) = (above_fixed IS NULL) AND (above_ppm IS NULL) = (above_min IS NULL)
           AND (above_ppm IS NOT NULL OR above_max IS NULL)),
    CHECK ((below_ppm IS NULL) = (below_fixed IS NULL) AND (below_ppm IS NULL) = (below_min IS NULL)
           AND (below_ppm IS NOT NULL OR below_max IS NULL))
);
CREATE TRIGGER agreement_tariffs_are_added BEFORE UPDATE OR DELETE ON agreement_tariffs
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Who else gets how much of the charges of the agreement's recipient, where a bill does not say so
-- itself; of all its services, or of one.
CREATE TABLE agreement_second_levels (
    agreement uuid NOT NULL REFERENCES agreements,
    place     smallint NOT NULL CHECK (place BETWEEN 0 AND 255),
    service   text CHECK (length(service) BETWEEN 1 AND 64),
    recipient integer NOT NULL REFERENCES recipients,
    ppm       integer NOT NULL CHECK (ppm BETWEEN 0 AND 1000000),
    PRIMARY KEY (agreement, place)
);
CREATE TRIGGER agreement_second_levels_are_added BEFORE UPDATE OR DELETE ON agreement_second_levels
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Who decided on a version, never who proposed it. An approved one is part of the terms from
-- `terms_version` on.
CREATE TABLE agreement_decisions (
    agreement        uuid PRIMARY KEY,
    state            text NOT NULL CHECK (state IN ('approved', 'rejected')),
    terms_version    bigint UNIQUE CHECK (terms_version > 0),
    decided_at       timestamptz NOT NULL,
    decided_by       integer NOT NULL REFERENCES callers,
    decided_by_name  text NOT NULL,
    proposed_by_name text NOT NULL,
    reason           text CHECK (length(reason) BETWEEN 1 AND 500),
    FOREIGN KEY (agreement, proposed_by_name) REFERENCES agreements (id, proposed_by_name),
    CONSTRAINT two_people CHECK (decided_by_name <> proposed_by_name),
    CHECK ((state = 'approved') = (terms_version IS NOT NULL)),
    CHECK (state = 'approved' OR reason IS NOT NULL)
);
CREATE TRIGGER agreement_decisions_are_added BEFORE UPDATE OR DELETE ON agreement_decisions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The names are those of the callers, whoever writes the rows.
CREATE FUNCTION agreement_names_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'agreements' THEN
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
CREATE TRIGGER agreements_are_named BEFORE INSERT ON agreements
    FOR EACH ROW EXECUTE FUNCTION agreement_names_hold();
CREATE TRIGGER agreement_decisions_are_named BEFORE INSERT ON agreement_decisions
    FOR EACH ROW EXECUTE FUNCTION agreement_names_hold();

-- Approved versions with recipients, as other rooms read them. Of those that hold at a moment the
-- one that began last is in force, and of two of one day the one approved last.
CREATE VIEW approved_agreements AS
    SELECT a.id AS agreement, a.recipient, a.acquirer, a.contract, a.valid_from, a.begins_at,
           a.ends_at, d.terms_version, a.time_zone, a.cut_off, a.minimum_payout, a.carry_days,
           a.report_format, a.name, a.inn, a.kpp, a.bic, a.account, a.correspondent_account,
           a.bank_name
    FROM agreements AS a
    JOIN agreement_decisions AS d ON d.agreement = a.id AND d.state = 'approved';

-- The versions in force at a moment by the terms of a version, one a recipient or acquirer: what a
-- payment was split by, given its terms_version and accepted_at.
CREATE FUNCTION agreements_in_force(version bigint, moment timestamptz)
RETURNS SETOF approved_agreements
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (v.recipient, v.acquirer) v.*
    FROM approved_agreements AS v
    WHERE v.terms_version <= version AND v.begins_at <= moment
      AND (v.ends_at IS NULL OR v.ends_at > moment)
    ORDER BY v.recipient, v.acquirer, v.valid_from DESC, v.terms_version DESC
$$;
