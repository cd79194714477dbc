-- Every line of a statement that was taken, with what it was found to be: what agrees with nothing
-- of ours is then missed when it goes. Statements from before have none.
CREATE TABLE statement_lines (
    statement uuid NOT NULL REFERENCES bank_statements,
    line      integer NOT NULL CHECK (line >= 1),
    is_debit  boolean NOT NULL,
    amount    bigint NOT NULL CHECK (amount > 0),
    kind      text NOT NULL,
    PRIMARY KEY (statement, line)
);
CREATE TRIGGER statement_lines_are_added BEFORE UPDATE OR DELETE ON statement_lines
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
