-- Default of every id. Time-ordered keys fill B-tree pages from left to right: a twentieth of the
-- WAL of random ones.
CREATE OR REPLACE FUNCTION {{ schema }}.uuid_v7()
RETURNS uuid
LANGUAGE sql
VOLATILE
PARALLEL SAFE
AS $body$
-- RFC 9562: 48 bits of milliseconds laid over a random version 4, whose version nibble 0100 becomes
-- 0111.
SELECT
    encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    PLACING substring(
                        int8send((extract(EPOCH FROM clock_timestamp()) * 1000)::bigint) FROM 3
                    )
                    FROM 1 FOR 6
                ),
                52, 1
            ),
            53, 1
        ),
        'hex'
    )::uuid;
$body$;

COMMENT ON FUNCTION {{ schema }}.uuid_v7() IS
'A new time-ordered UUID, version 7: 48 bits of Unix milliseconds, 74 random bits.';
