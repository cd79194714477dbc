-- By what a line that moved a payout is known again in another statement, whatever its form: it
-- moves no other payout. Of what was moved before there is none.
CREATE TABLE moving_lines (
    payout   uuid NOT NULL,
    event    text NOT NULL,
    identity bytea NOT NULL CHECK (length(identity) = 16),
    PRIMARY KEY (payout, event),
    FOREIGN KEY (payout, event) REFERENCES payout_events
);
CREATE INDEX moving_lines_by_identity ON moving_lines (identity);
CREATE TRIGGER moving_lines_are_added BEFORE UPDATE OR DELETE ON moving_lines
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
