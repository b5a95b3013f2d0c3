-- For the functions that sell, when a wait for a lock of somebody else has come to its limit, and
-- to set that limit. One statement may wait many times, and lock_timeout bounds each wait, not
-- their sum. So each wait is short; the block with the exception clause gives back what was locked
-- so far, so that nobody is kept waiting for long by somebody who waits himself; and then all is
-- tried again, with fresh eyes, until the time is up. Short of deadlock_timeout, too: a DBA who
-- locks seats in another order than we do finds them free again before it counts as a deadlock.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.wait_for_others(
    p_since timestamptz,
    p_rows integer DEFAULT 10
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- In milliseconds. Two seconds are promised: some are for the last try, and its line in a log
    -- that may be locked, too.
    v_left constant integer := (
        1700 - 1000 * extract(EPOCH FROM clock_timestamp() - p_since)
    )::integer;
BEGIN
    -- A row may cost two waits: for the turn among those who wait for it, and for who has it. No
    -- limit at all is what 0 would mean.
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
'Limits each further wait for a lock so that waiting for p_rows rows ends within two seconds of '
'p_since, when the call began; the caller''s own SET lock_timeout takes that back. Returns whether '
'it is worth trying once more. Internal.';
