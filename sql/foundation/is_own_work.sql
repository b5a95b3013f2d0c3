-- For revoke_default_privileges(). A row that is visible although its transaction is in progress
-- can only be the caller's own. To compare xmin with the transaction's id would miss what was
-- written within a savepoint, such as those that psql sets with ON_ERROR_ROLLBACK.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_own_work(p_xmin xid)
RETURNS boolean
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    CASE
        -- A savepoint gets its id later than its transaction.
        WHEN age(p_xmin) <= age(pg_current_xact_id()::xid)
            THEN pg_xact_status(
                (
                    pg_current_xact_id()::text::bigint
                    + age(pg_current_xact_id()::xid)
                    - age(p_xmin)
                )::text::xid8
            ) = 'in progress'
        ELSE false
    END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.is_own_work(xid) IS
'Whether the caller''s own transaction wrote the row with this xmin, which the caller can see.';
