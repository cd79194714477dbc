-- Two people for whom a batch pays and for what it charged: what each approval saw, so that whoever
-- changed something is not alone with it. What was seen is a version, not a moment.

-- The terms that a batch's rows were charged by at most: those in force at its cut.
CREATE TABLE batch_terms (
    settlement_batch integer PRIMARY KEY REFERENCES settlement_batches,
    terms_version    bigint NOT NULL CHECK (terms_version >= 0)
);
CREATE TRIGGER batch_terms_are_added BEFORE UPDATE OR DELETE ON batch_terms
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What was approved and confirmed has one order.
CREATE SEQUENCE approval_numbers;

-- `two_people` is false where a program approved that did not look at who had changed what.
CREATE TABLE batch_approvals (
    settlement_batch integer PRIMARY KEY REFERENCES settlement_batches,
    number           bigint NOT NULL UNIQUE DEFAULT nextval('approval_numbers'),
    terms_version    bigint NOT NULL CHECK (terms_version >= 0),
    approved_by      integer NOT NULL REFERENCES callers,
    two_people       boolean NOT NULL
);
CREATE TRIGGER batch_approvals_are_added BEFORE UPDATE OR DELETE ON batch_approvals
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Whose requisites a batch was paid to, and from (`is_payer`): the recipient's own version, or an
-- agreement's; neither where an older program approved, and nobody knows any more.
CREATE TABLE requisites_used (
    settlement_batch integer NOT NULL REFERENCES settlement_batches,
    recipient        integer NOT NULL REFERENCES recipients,
    is_payer         boolean NOT NULL,
    version          integer,
    agreement        uuid REFERENCES agreements,
    PRIMARY KEY (settlement_batch, recipient, is_payer),
    FOREIGN KEY (recipient, version) REFERENCES recipient_versions (recipient, version),
    CHECK (version IS NULL OR agreement IS NULL),
    CHECK (NOT is_payer OR version IS NOT NULL)
);
CREATE INDEX requisites_used_by_version ON requisites_used (recipient, version);
CREATE TRIGGER requisites_used_are_added BEFORE UPDATE OR DELETE ON requisites_used
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A change that somebody else looked at by itself, without a batch.
CREATE TABLE recipient_confirmations (
    recipient    integer NOT NULL,
    version      integer NOT NULL,
    confirmed_by integer NOT NULL REFERENCES callers,
    number       bigint NOT NULL UNIQUE DEFAULT nextval('approval_numbers'),
    confirmed_at timestamptz NOT NULL,
    PRIMARY KEY (recipient, version, confirmed_by),
    FOREIGN KEY (recipient, version) REFERENCES recipient_versions (recipient, version)
);
CREATE TRIGGER recipient_confirmations_are_added BEFORE UPDATE OR DELETE ON recipient_confirmations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TABLE surcharge_confirmations (
    method       smallint NOT NULL,
    version      bigint NOT NULL,
    confirmed_by integer NOT NULL REFERENCES callers,
    number       bigint NOT NULL UNIQUE DEFAULT nextval('approval_numbers'),
    confirmed_at timestamptz NOT NULL,
    PRIMARY KEY (method, version, confirmed_by),
    FOREIGN KEY (method, version) REFERENCES surcharge_terms (method, version)
);
CREATE TRIGGER surcharge_confirmations_are_added BEFORE UPDATE OR DELETE ON surcharge_confirmations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Batches of before: by the moments that are known of them.
INSERT INTO batch_terms (settlement_batch, terms_version)
SELECT b.number,
       coalesce((SELECT max(t.version)
                 FROM (SELECT version, set_at FROM commission_terms
                       UNION ALL SELECT version, set_at FROM surcharge_terms) AS t
                 WHERE t.set_at <= b.closed_at), 0)
FROM settlement_batches AS b;
INSERT INTO batch_approvals (settlement_batch, terms_version, approved_by, two_people)
SELECT b.number, t.terms_version, b.approved_by, false
FROM settlement_batches AS b JOIN batch_terms AS t ON t.settlement_batch = b.number
WHERE b.approved_at IS NOT NULL
ORDER BY b.approved_at, b.number;
INSERT INTO requisites_used (settlement_batch, recipient, is_payer, version)
SELECT p.settlement_batch, p.recipient, false,
       (SELECT v.version FROM recipient_versions AS v
        WHERE v.recipient = p.recipient AND v.version = 1 AND v.set_at <= b.approved_at
          AND (v.inn, v.kpp, v.bic, v.account)
              IS NOT DISTINCT FROM (p.inn, p.kpp, p.bic, p.account))
FROM payouts AS p JOIN settlement_batches AS b ON b.number = p.settlement_batch;
INSERT INTO requisites_used (settlement_batch, recipient, is_payer, version)
SELECT b.number, v.recipient, true, v.version
FROM settlement_batches AS b
JOIN recipient_versions AS v
    ON v.version = 1 AND v.set_at <= b.approved_at
   AND (v.account, v.bic) = (b.payer_account, b.payer_bic)
   AND v.recipient = (SELECT min(r.number) FROM recipients AS r WHERE r.kind = 'centre')
WHERE b.approved_at IS NOT NULL;
