-- Settlement: closed batches, one position a recipient, payouts and the files sent to the bank.

CREATE TABLE settlement_batches (
    number        integer PRIMARY KEY CHECK (number >= 1),
    id            uuid NOT NULL UNIQUE,
    state         text NOT NULL CHECK (state IN ('cut', 'closed', 'approved')),
    business_date date NOT NULL,
    closed_at     timestamptz NOT NULL,
    closed_by     integer NOT NULL REFERENCES callers,
    payments      bigint CHECK (payments >= 0),
    refunds       bigint CHECK (refunds >= 0),
    approved_at   timestamptz,
    approved_by   integer REFERENCES callers,
    CHECK ((approved_at IS NOT NULL) = (state = 'approved')),
    CHECK ((approved_by IS NOT NULL) = (state = 'approved')),
    CHECK ((payments IS NULL) = (state = 'cut'))
);

-- net is what this batch's rows add up to; a negative balance is carried over and never paid.
CREATE TABLE positions (
    settlement_batch integer NOT NULL REFERENCES settlement_batches,
    recipient        integer NOT NULL REFERENCES recipients,
    gross            bigint NOT NULL CHECK (gross >= 0),
    commission       bigint NOT NULL CHECK (commission BETWEEN 0 AND gross),
    refunds          bigint NOT NULL CHECK (refunds >= 0),
    net              bigint NOT NULL CHECK (net = gross - commission - refunds),
    carried_in       bigint NOT NULL CHECK (carried_in <= 0),
    payable          bigint NOT NULL CHECK (payable = greatest(carried_in + net, 0)),
    carried_out      bigint NOT NULL CHECK (carried_out = carried_in + net - payable),
    PRIMARY KEY (settlement_batch, recipient)
);

CREATE SEQUENCE payment_order_numbers;

-- One payout a recipient and batch, with the requisites as they stood at approval.
CREATE TABLE payouts (
    id                    uuid PRIMARY KEY,
    settlement_batch      integer NOT NULL REFERENCES settlement_batches,
    recipient             integer NOT NULL REFERENCES recipients,
    state                 text NOT NULL CHECK (state IN ('approved')),
    amount                bigint NOT NULL CHECK (amount > 0),
    order_number          integer NOT NULL CHECK (order_number BETWEEN 1 AND 999999),
    order_date            date NOT NULL,
    name                  text NOT NULL,
    inn                   text NOT NULL,
    kpp                   text,
    bic                   text NOT NULL,
    account               text NOT NULL,
    correspondent_account text,
    purpose               text NOT NULL CHECK (length(purpose) <= 210),
    UNIQUE (settlement_batch, recipient),
    UNIQUE (order_date, order_number)
);

CREATE TABLE payout_files (
    settlement_batch integer NOT NULL REFERENCES settlement_batches,
    format           text NOT NULL CHECK (format IN ('1c')),
    made_at          timestamptz NOT NULL,
    content          bytea NOT NULL,
    PRIMARY KEY (settlement_batch, format)
);
CREATE TRIGGER payout_files_are_added BEFORE UPDATE OR DELETE ON payout_files
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
