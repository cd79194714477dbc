-- Payments that the gateway starts itself: what acquirers were asked to take, and to give back.
-- None of this is money: what was taken stands in payments, made with the id of its row here.

-- One try to take one payment. It is durable before the acquirer hears of it, so that whatever dies
-- there is something to ask about. `next_poll_at` is when it is asked about next; whoever asks
-- moves it on first, which keeps the others away for as long as asking may take.
CREATE TABLE authorisations (
    id                 uuid PRIMARY KEY,
    caller             integer NOT NULL REFERENCES callers,
    acquirer           text NOT NULL,
    kind               text NOT NULL,
    state              text NOT NULL CHECK
        (state IN ('asking', 'pending', 'unknown', 'taken', 'accepted', 'declined')),
    method             smallint NOT NULL CHECK (method BETWEEN 0 AND 6),
    subscriber_account text NOT NULL CHECK (length(subscriber_account) BETWEEN 1 AND 30),
    amount             bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    surcharge          bigint NOT NULL CHECK (surcharge >= 0),
    terms_version      bigint NOT NULL,
    period             text NOT NULL CHECK (length(period) = 7),
    facts              json NOT NULL,
    designation        json,
    reference          text NOT NULL,
    created_at         timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    holds_reference    boolean NOT NULL,
    to_suspense        boolean NOT NULL,
    operation          text,
    reason             text,
    step               json NOT NULL,
    settled_at         timestamptz,
    next_poll_at       timestamptz,
    polls              integer NOT NULL CHECK (polls >= 0),
    CHECK ((settled_at IS NULL) = (state NOT IN ('accepted', 'declined'))),
    CHECK ((reason IS NULL) = (state <> 'declined')),
    CHECK (state IN ('accepted', 'declined') OR next_poll_at IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX authorisations_due ON authorisations (acquirer, next_poll_at)
    WHERE next_poll_at IS NOT NULL;
-- No second charge while the first is open or was taken, whatever key it comes with.
CREATE UNIQUE INDEX one_try_at_a_time ON authorisations (caller, reference) WHERE holds_reference;
-- What an acquirer took once cannot be the money of two tries.
CREATE UNIQUE INDEX authorisations_by_operation ON authorisations (acquirer, operation)
    WHERE operation IS NOT NULL;

-- Money of such a payment that its acquirer is asked to give back. Until it is declined or stands
-- in refunds (with the same id) it is reserved: no other refund may take it.
CREATE TABLE acquirer_refunds (
    id           uuid PRIMARY KEY,
    payment      uuid NOT NULL REFERENCES authorisations,
    caller       integer NOT NULL REFERENCES callers,
    acquirer     text NOT NULL,
    kind         text NOT NULL,
    state        text NOT NULL CHECK
        (state IN ('asking', 'pending', 'unknown', 'given', 'refunded', 'declined')),
    amount       bigint NOT NULL CHECK (amount BETWEEN 1 AND 10000000000000),
    remaining    bigint NOT NULL CHECK (remaining >= 0),
    taken_by     text NOT NULL,
    created_at   timestamptz NOT NULL,
    operation    text,
    reason       text,
    settled_at   timestamptz,
    next_poll_at timestamptz,
    polls        integer NOT NULL CHECK (polls >= 0),
    CHECK ((settled_at IS NULL) = (state NOT IN ('refunded', 'declined'))),
    CHECK ((reason IS NULL) = (state <> 'declined')),
    CHECK (state IN ('refunded', 'declined') OR next_poll_at IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX acquirer_refunds_due ON acquirer_refunds (acquirer, next_poll_at)
    WHERE next_poll_at IS NOT NULL;
CREATE INDEX acquirer_refunds_by_payment ON acquirer_refunds (payment);
