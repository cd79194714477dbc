-- One integer of a packed vector by its place: joined to the parts of a plan it adds shares up at
-- half the cost of `unpack`, which makes a row of each first.
CREATE FUNCTION packed_at(packed bytea, place integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE get_byte(packed, 0)
        WHEN 4 THEN (get_byte(packed, 4 * place + 1)::bigint << 24)
                  | (get_byte(packed, 4 * place + 2) << 16)
                  | (get_byte(packed, 4 * place + 3) << 8) | get_byte(packed, 4 * place + 4)
        ELSE ('x' || encode(substring(packed FROM 8 * place + 2 FOR 8), 'hex'))::bit(64)::bigint
    END
$$;
