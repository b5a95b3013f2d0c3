-- Called by the functions that sell when a wait for a lock has timed out: sets lock_timeout for the
-- next attempt, and reports whether there is time for one. One statement may wait many times, and
-- lock_timeout limits each wait, not their sum. So each wait is short; the block with the exception
-- clause then releases what was locked so far, so that nobody waits long for a session that waits
-- itself; and everything is tried again, with a new snapshot, until the time is up. A wait is also
-- shorter than deadlock_timeout: a DBA who locks seats in another order gets them before PostgreSQL
-- looks for a deadlock.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.wait_for_others(
    p_since timestamptz,
    p_rows integer DEFAULT 10
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- In milliseconds. Two seconds are promised: the rest is for the last attempt, and for its row
    -- in a log that may be locked, too.
    v_left constant integer := (
        1700 - 1000 * extract(EPOCH FROM clock_timestamp() - p_since)
    )::integer;
BEGIN
    -- A row may cost two waits: for the place at the head of its queue, and for the session that
    -- has it. 0 would mean no limit.
    PERFORM set_config(
        'lock_timeout',
        CASE
            WHEN v_left > 0 THEN GREATEST(1, v_left / (2 * GREATEST(p_rows, 10)))
            ELSE 250
        END::text,
        true
    );
    RETURN v_left > 0;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.wait_for_others(timestamptz, integer) IS
'Sets lock_timeout so that waiting for p_rows rows ends within two seconds of p_since, when the '
'call began. The caller''s SET lock_timeout restores it at the end. Returns whether there is time '
'for another attempt.';
