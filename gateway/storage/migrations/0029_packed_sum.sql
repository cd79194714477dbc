-- The sum of eight shares or fewer in one expression instead of eight turns of a loop, where the
-- server can read an integer out of bytes (PostgreSQL 18): half of what the sums in payment_holds
-- cost a payment. Beyond the end of a vector there is nothing, which reads as 0.
DO $migration$
BEGIN
    IF current_setting('server_version_num')::integer < 180000 THEN
        RETURN;
    END IF;
    CREATE OR REPLACE FUNCTION packed_sum(packed bytea) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
    DECLARE
        total bigint := 0;
    BEGIN
        IF get_byte(packed, 0) = 4 AND length(packed) <= 33 AND length(packed) % 4 = 1 THEN
            RETURN substr(packed, 2, 4)::integer::bigint + substr(packed, 6, 4)::integer
                 + substr(packed, 10, 4)::integer + substr(packed, 14, 4)::integer
                 + substr(packed, 18, 4)::integer + substr(packed, 22, 4)::integer
                 + substr(packed, 26, 4)::integer + substr(packed, 30, 4)::integer;
        END IF;
        IF get_byte(packed, 0) = 4 THEN
            FOR at IN 1 .. length(packed) - 4 BY 4 LOOP
                total := total + ((get_byte(packed, at) << 24) | (get_byte(packed, at + 1) << 16)
                                  | (get_byte(packed, at + 2) << 8) | get_byte(packed, at + 3));
            END LOOP;
        ELSE
            FOR at IN 2 .. length(packed) - 7 BY 8 LOOP
                total := total
                    + ('x' || encode(substring(packed FROM at FOR 8), 'hex'))::bit(64)::bigint;
            END LOOP;
        END IF;
        RETURN total;
    END
    $$;
END
$migration$;
