-- What recipients and fees from above were before: each change with who made it and when.

-- A recipient as one change left it; `recipients` has what the last one did. The commission is that
-- of `terms_version`.
CREATE TABLE recipient_versions (
    recipient             integer NOT NULL REFERENCES recipients,
    version               integer NOT NULL CHECK (version >= 1),
    name                  text NOT NULL,
    kind                  text NOT NULL,
    inn                   text NOT NULL,
    kpp                   text,
    bic                   text NOT NULL,
    account               text NOT NULL,
    correspondent_account text,
    bank_name             text,
    terms_version         bigint,
    set_at                timestamptz NOT NULL,
    set_by                integer NOT NULL REFERENCES callers,
    PRIMARY KEY (recipient, version),
    FOREIGN KEY (recipient, terms_version) REFERENCES commission_terms (recipient, version)
);
CREATE TRIGGER recipient_versions_are_added BEFORE UPDATE OR DELETE ON recipient_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER commission_terms_are_added BEFORE UPDATE OR DELETE ON commission_terms
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER surcharge_terms_are_added BEFORE UPDATE OR DELETE ON surcharge_terms
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What stood before versions were kept is the first; who made it what it was before, nobody knows.
INSERT INTO recipient_versions (recipient, version, name, kind, inn, kpp, bic, account,
                                correspondent_account, bank_name, terms_version, set_at, set_by)
SELECT r.number, 1, r.name, r.kind, r.inn, r.kpp, r.bic, r.account, r.correspondent_account,
       r.bank_name,
       (SELECT max(t.version) FROM commission_terms AS t WHERE t.recipient = r.number),
       r.set_at, r.set_by
FROM recipients AS r;
