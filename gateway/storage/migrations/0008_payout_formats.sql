-- Payout files in the forms of more banks.

ALTER TABLE payout_files
    DROP CONSTRAINT payout_files_format_check,
    ADD CONSTRAINT payout_files_format_check CHECK (format IN ('1c', 'ed101', 'pain001'));
