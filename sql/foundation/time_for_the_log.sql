-- For the lock_timeout of the row in the log with which a refused call ends. A log may be locked,
-- or its file may take long to grow on a busy disk, and no call is answered without its row: so it
-- waits for what is left of the two seconds. wait_for_others() leaves a quarter.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.time_for_the_log()
RETURNS text
LANGUAGE sql
VOLATILE
RETURN CASE
    WHEN clock_timestamp() < statement_timestamp() + interval '450 ms' THEN '1500' ELSE '250'
END;

COMMENT ON FUNCTION {{ internal_schema }}.time_for_the_log() IS
'How many milliseconds a refused call may wait for its row in the log: so many that it ends within '
'two seconds since the statement of the client began, and at least 250.';
