-- For the lock_timeout of the row in the log with which a refused call ends. A log may be locked, or
-- its file may take long to grow on a disk that is busy, and no call is answered without its row:
-- so it waits for as long as is left of the two seconds. wait_for_others() leaves a quarter.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.time_for_the_log()
RETURNS text
LANGUAGE sql
VOLATILE
RETURN GREATEST(
    250,
    1950 - (1000 * date_part('epoch', clock_timestamp() - statement_timestamp()))::integer
)::text;

COMMENT ON FUNCTION {{ internal_schema }}.time_for_the_log() IS
'How many milliseconds a refused call may wait for its row in the log: what is left of two seconds '
'since the statement of the client began, and at least 250.';
