-- Where money or a hold is at stake, a caller may ask for less than the disk of this server, and
-- does not get it: what was acknowledged is there after a crash. Stricter settings stay.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.commit_durably()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- A SET clause would be undone when the function ends, which is before the commit.
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.commit_durably() IS
'Raises synchronous_commit to on until the end of the transaction, where it is off or local. '
'Internal.';
