-- Wallets' tokens that paid, each once for ever, whoever sends it and under whatever key. Of a
-- token only a digest of its id is kept. This table is looked up by the digest alone: distributed,
-- it would be by that, and not by the account that it names for people.
CREATE TABLE wallet_tokens (
    digest             bytea PRIMARY KEY CHECK (length(digest) = 32),
    payment            uuid NOT NULL,
    subscriber_account text NOT NULL
);
