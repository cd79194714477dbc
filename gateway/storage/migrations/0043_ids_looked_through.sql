-- Looked through while payers go on, so that what is there can become a partition in a moment.
ALTER TABLE payments VALIDATE CONSTRAINT before_months;
