-- Each step of a script looks for itself whether it may run: a script may be run twice, half, or
-- by two people at once.
DO $body$
DECLARE
    v_found text;
BEGIN
    IF current_setting('server_version_num')::integer / 10000 NOT BETWEEN 15 AND 18 THEN
        RAISE EXCEPTION 'ticketdb: PostgreSQL 15 to 18 is needed';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('ticketdb migration of ' || {{ schema | literal }}, 0)) THEN
        RAISE EXCEPTION 'ticketdb: another migration of this schema is running';
    END IF;
    IF to_regclass(format('%I.ticketdb_alembic_version', {{ schema | literal }})) IS NOT NULL THEN
        SELECT v.version_num INTO v_found FROM {{ schema }}.ticketdb_alembic_version AS v;
    END IF;
    IF v_found IS DISTINCT FROM NULLIF({{ before }}, 'base') THEN
        RAISE EXCEPTION 'ticketdb: this step starts at revision %, the database is at %',
            {{ before }}, COALESCE(v_found, 'base');
    END IF;
END;
$body$;
