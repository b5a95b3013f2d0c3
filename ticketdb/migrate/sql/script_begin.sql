DO $body$
DECLARE
    v_found text;
BEGIN
    BEGIN
        EXECUTE {{ lock }};
    EXCEPTION
        WHEN lock_not_available THEN
            RAISE EXCEPTION 'ticketdb: another migration of this schema is running'
                USING ERRCODE = 'lock_not_available', HINT = 'run this again when it is done';
    END;
    SELECT v.version_num INTO v_found FROM {{ internal_schema }}.ticketdb_alembic_version AS v;
    IF COALESCE(v_found, 'base') <> {{ before }} THEN
        RAISE EXCEPTION 'ticketdb: another migration has come in between, the database is at %',
            COALESCE(v_found, 'base')
            USING ERRCODE = 'lock_not_available', HINT = 'look at it with `ticketdb status`';
    END IF;
END;
$body$;
