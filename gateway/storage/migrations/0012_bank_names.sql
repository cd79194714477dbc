-- What a recipient's bank is called, where the operator tells it: a bill's QR code has to name the
-- centre's bank, and payment orders may name both.

ALTER TABLE recipients
    ADD COLUMN bank_name text CHECK (length(bank_name) BETWEEN 1 AND 160);
