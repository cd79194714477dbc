-- What recipients are told of their money: events, and the webhooks that they are sent to.

-- An event is written in the transaction of what it tells of, and has no sequence until it is
-- published. Numbers are given out of turn (an older one may commit later), so nobody reads by
-- them: whoever publishes takes all that can be seen, one at a time, and a recipient's sequence
-- has no gap at any moment.
CREATE TABLE events (
    id        uuid PRIMARY KEY,
    number    bigint GENERATED ALWAYS AS IDENTITY,
    recipient integer NOT NULL REFERENCES recipients,
    type      text NOT NULL CHECK (type IN (
        'position.closed', 'position.cancelled', 'payout.approved', 'payout.sent',
        'payout.executed', 'payout.returned', 'payout.cancelled', 'webhook.test')),
    at        timestamptz NOT NULL,
    content   json NOT NULL,
    -- Told to this webhook alone: a test of it.
    webhook   uuid,
    sequence  bigint CHECK (sequence >= 1),
    UNIQUE (recipient, sequence)
) WITH (fillfactor = 80);
CREATE INDEX events_unpublished ON events (number) WHERE sequence IS NULL;

-- `types` is empty where all are wanted. Whoever sends to a webhook holds it until `leased_until`.
CREATE TABLE webhooks (
    id           uuid PRIMARY KEY,
    recipient    integer NOT NULL REFERENCES recipients,
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    url          text NOT NULL CHECK (length(url) <= 2048),
    types        text[] NOT NULL,
    state        text NOT NULL CHECK (state IN ('active', 'paused', 'disabled')),
    reason       text CHECK (reason IN ('gone', 'failed')),
    created_at   timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL,
    changed_by   integer NOT NULL REFERENCES callers,
    leased_until timestamptz NOT NULL,
    UNIQUE (recipient, name),
    CHECK ((reason IS NOT NULL) = (state = 'disabled'))
) WITH (fillfactor = 80);

-- The one without an end signs; those before it sign beside it until theirs. The first byte tells
-- whether the rest is sealed with the gateway's key.
CREATE TABLE webhook_secrets (
    webhook uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    number  integer NOT NULL CHECK (number >= 1),
    secret  bytea NOT NULL,
    until   timestamptz,
    PRIMARY KEY (webhook, number)
);
CREATE UNIQUE INDEX one_secret_without_end ON webhook_secrets (webhook) WHERE until IS NULL;

CREATE TABLE webhook_deliveries (
    webhook  uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event    uuid NOT NULL REFERENCES events,
    state    text NOT NULL CHECK (state IN ('due', 'delivered', 'failed')),
    tries    integer NOT NULL CHECK (tries >= 0),
    begun_at timestamptz NOT NULL,
    next_at  timestamptz,
    PRIMARY KEY (webhook, event),
    CHECK ((next_at IS NOT NULL) = (state = 'due'))
) WITH (fillfactor = 80);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_at)
    WHERE next_at IS NOT NULL;

CREATE TABLE webhook_attempts (
    webhook uuid NOT NULL,
    event   uuid NOT NULL,
    number  integer NOT NULL CHECK (number >= 1),
    at      timestamptz NOT NULL,
    outcome text NOT NULL,
    status  integer,
    PRIMARY KEY (webhook, event, number),
    FOREIGN KEY (webhook, event) REFERENCES webhook_deliveries ON DELETE CASCADE
);
