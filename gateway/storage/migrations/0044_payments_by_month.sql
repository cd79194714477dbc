-- Payments by month: the table that was there is the first partition, as it stands. Views are bound
-- to a table and not to its name, so those that read payments are written again, as they were.
DO $migration$
DECLARE
    first_end text := (
        SELECT substring(pg_get_constraintdef(oid) FROM $$'([-0-9a-f]{36})'::uuid$$)
        FROM pg_constraint
        WHERE conrelid = 'payments'::regclass AND conname = 'before_months' AND convalidated);
    owner regrole := (SELECT relowner FROM pg_class WHERE oid = 'payments'::regclass);
    spread boolean := false;
    views text[];
    view text;
    one record;
BEGIN
    IF to_regclass('pg_dist_partition') IS NOT NULL THEN
        SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'payments'::regclass)
        INTO spread;
    END IF;
    LOCK TABLE payments IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM pg_depend AS d
               LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
               LEFT JOIN pg_class AS v ON v.oid = r.ev_class
               WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'payments'::regclass
                 AND (d.classid IN ('pg_proc'::regclass, 'pg_publication_rel'::regclass,
                                    'pg_policy'::regclass)
                   OR d.classid = 'pg_rewrite'::regclass AND v.relkind <> 'v')) THEN
        RAISE EXCEPTION 'Expected only views to be bound to payments: take away what is yours';
    END IF;
    SELECT array_agg(format('CREATE OR REPLACE VIEW %I.%I %s AS %s', n.nspname, v.relname,
                            'WITH (' || array_to_string(v.reloptions, ', ') || ')',
                            pg_get_viewdef(v.oid))) INTO views
    FROM pg_class AS v JOIN pg_namespace AS n ON n.oid = v.relnamespace
    WHERE v.oid IN (SELECT r.ev_class FROM pg_depend AS d
                    JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
                    WHERE d.refclassid = 'pg_class'::regclass
                      AND d.refobjid = 'payments'::regclass);

    FOR one IN SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = 'payments'::regclass LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', one.relname,
                       regexp_replace(one.relname, '^payments_', 'payments_first_'));
    END LOOP;
    ALTER TABLE payments RENAME TO payments_first;
    DROP TRIGGER payments_are_added ON payments_first;
    CREATE TABLE payments (LIKE payments_first INCLUDING ALL EXCLUDING INDEXES)
        PARTITION BY RANGE (id);
    ALTER TABLE payments DROP CONSTRAINT before_months;
    EXECUTE format('ALTER TABLE payments OWNER TO %s', owner);
    FOR one IN SELECT a.grantee, a.privilege_type, a.is_grantable
               FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
               WHERE c.oid = 'payments_first'::regclass LOOP
        EXECUTE format('GRANT %s ON payments TO %s %s', one.privilege_type,
                       CASE one.grantee WHEN 0 THEN 'PUBLIC' ELSE one.grantee::regrole::text END,
                       CASE WHEN one.is_grantable THEN 'WITH GRANT OPTION' ELSE '' END);
    END LOOP;

    IF spread THEN
        PERFORM create_distributed_table('payments', 'subscriber_account',
                                         colocate_with => 'payments_first');
    END IF;
    ALTER TABLE payments ADD PRIMARY KEY (id, subscriber_account);
    CREATE INDEX payments_in_suspense ON payments (id) WHERE bill IS NULL;
    CREATE INDEX payments_by_batch ON payments USING brin (settlement_batch)
        WITH (autosummarize = on);
    CREATE INDEX payments_by_account ON payments (subscriber_account);
    CREATE INDEX payments_by_reference ON payments (reference COLLATE "C")
        WHERE reference IS NOT NULL;
    CREATE INDEX payments_without_reference ON payments (subscriber_account)
        WHERE reference IS NULL;
    CREATE TRIGGER payments_are_added BEFORE UPDATE OR DELETE ON payments
        FOR EACH ROW EXECUTE FUNCTION refuse_change();
    EXECUTE format(
        'ALTER TABLE payments ATTACH PARTITION payments_first FOR VALUES FROM (MINVALUE) TO (%L)',
        first_end);
    ALTER TABLE payments_first DROP CONSTRAINT before_months;
    -- Where no month was made in time, and for a clock far ahead: payments are taken all the same.
    CREATE TABLE payments_other PARTITION OF payments DEFAULT;
    -- Views stand where they are asked, on the coordinator.
    SET LOCAL citus.enable_ddl_propagation TO off;
    FOREACH view IN ARRAY views LOOP
        EXECUTE view;
    END LOOP;
END
$migration$;
