-- Default of every id. Time-ordered keys fill B-tree pages from left to right, with a twentieth of
-- the WAL of random ones.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.uuid_v7()
RETURNS uuid
LANGUAGE sql
VOLATILE
PARALLEL SAFE
-- RFC 9562: 48 bits of milliseconds in front of a random version 4, whose version nibble 0100
-- becomes 0111.
RETURN
encode(
    set_bit(
        set_bit(
            substring(int8send((extract(EPOCH FROM clock_timestamp()) * 1000)::bigint), 3)
            || substring(uuid_send(gen_random_uuid()), 7),
            52, 1
        ),
        53, 1
    ),
    'hex'
)::uuid;

COMMENT ON FUNCTION {{ internal_schema }}.uuid_v7() IS
'A new time-ordered UUID, version 7: 48 bits of Unix milliseconds, 74 random bits.';

-- A default calls it with the privileges of the role that inserts: see revoke_default_privileges().
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.uuid_v7() TO PUBLIC;
