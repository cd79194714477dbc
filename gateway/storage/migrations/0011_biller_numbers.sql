-- Our number of what a bank or an agent paid or took back by a biller protocol, whose ids are up to
-- 20 digits: given when it is durable, before the first answer, and never changed. `resource` is a
-- payment, or a refund of one.
CREATE TABLE biller_numbers (
    resource           uuid NOT NULL,
    subscriber_account text NOT NULL,
    number             bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (resource, subscriber_account)
);
CREATE TRIGGER biller_numbers_are_added BEFORE UPDATE OR DELETE ON biller_numbers
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
