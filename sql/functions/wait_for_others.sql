-- For the functions that sell, when a row or table that they need is locked by somebody else. They
-- never wait in the queue of a lock: nothing bounds the sum of such waits. They lock rows NOWAIT,
-- give back what they have locked (a block with an exception clause does), come here, and look
-- again with fresh eyes. So nobody waits while he keeps others waiting, and there is no deadlock.
-- What cannot be had NOWAIT (a table, a unique key, the parent of a foreign key) is bounded by
-- lock_timeout.
CREATE OR REPLACE FUNCTION {{ schema }}.wait_for_others(p_since timestamptz)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- Two seconds is the promise; the rest is for the last attempt and the line in the log.
    v_patience constant double precision := 1.8;
    v_waited double precision := extract(EPOCH FROM clock_timestamp() - p_since);
BEGIN
    IF v_waited >= v_patience THEN
        PERFORM set_config('lock_timeout', '100', true);
        RETURN false;
    END IF;
    -- Most are done within milliseconds. At random, so that those who met do not meet again.
    PERFORM pg_sleep(
        LEAST(0.001 + random() * v_waited / 2, 0.05, v_patience - v_waited)
    );
    v_waited := extract(EPOCH FROM clock_timestamp() - p_since);
    -- A twentieth of what is left, for each of several waits; 0 would be no limit.
    PERFORM set_config(
        'lock_timeout',
        GREATEST(1, ((v_patience - v_waited) * 1000 / 20)::integer)::text,
        true
    );
    RETURN true;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.wait_for_others(timestamptz) IS
'Waits a few milliseconds, and returns whether it is worth trying once more: false from 1.8 s '
'after p_since, when the call began. Sets lock_timeout for what the caller does next; his own SET '
'takes it back. Internal.';
