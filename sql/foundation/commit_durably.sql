-- Called by the functions that create or settle orders: if the session has synchronous_commit off
-- or local, this transaction gets on, so that what was acknowledged survives a crash. Stricter
-- settings stay.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.commit_durably()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- Not a SET clause of the function: that would end with it, before the commit.
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.commit_durably() IS
'Sets synchronous_commit to on until the end of the transaction, if it is off or local.';
