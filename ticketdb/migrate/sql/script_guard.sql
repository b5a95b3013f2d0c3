-- A script may be run twice, or again after an interruption, or by two DBAs at once, or on another database than the
-- one that it was made for. In all these cases it stops before it has changed anything. The first check: inside a
-- transaction, such as that of psql -1, all of it would be committed or rolled back at the end of that. So two
-- statements must be two transactions.
SELECT set_config('ticketdb.transaction', l.virtualtransaction, false)
FROM pg_locks AS l
WHERE l.pid = pg_backend_pid() AND l.locktype = 'virtualxid' AND l.granted;
DO $body$
DECLARE
    v_version CONSTANT regclass := to_regclass(format('%I.ticketdb_alembic_version', {{ internal_schema | literal }}));
    v_majors CONSTANT integer[] := ARRAY(SELECT jsonb_array_elements_text({{ majors }}));
    v_major CONSTANT integer := current_setting('server_version_num')::integer / 10000;
    v_role text := current_user;
    v_found text;
    v_odd text;
BEGIN
    IF EXISTS (
        SELECT FROM pg_locks AS l
        WHERE l.pid = pg_backend_pid() AND l.virtualtransaction = current_setting('ticketdb.transaction')
    ) THEN
        RAISE EXCEPTION 'ticketdb: this script must not be run inside a transaction'
            USING
                ERRCODE = 'active_sql_transaction',
                HINT = 'end it, and run the script by itself: psql without -1 (--single-transaction)';
    END IF;
    IF v_major <> ALL(v_majors) THEN
        RAISE EXCEPTION 'ticketdb: this script is for PostgreSQL %, and this is %',
            array_to_string(v_majors, ', '), v_major
            USING HINT = 'make one with `ticketdb script`, with --major or without';
    END IF;
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'ticketdb: this is a standby' USING HINT = 'run it on the primary';
    END IF;
{% if role %}
    v_role := {{ role }};
{% else %}
    SELECT pg_get_userbyid(c.relowner) INTO v_role FROM pg_class AS c WHERE c.oid = v_version;
{% endif %}
    IF v_role <> current_user THEN
        RAISE EXCEPTION 'ticketdb: this script is for role %, and this is %', v_role, current_user
            USING HINT = format('connect as that role, or SET ROLE %I', v_role);
    END IF;
    IF v_version IS NOT NULL THEN
        SELECT v.version_num INTO v_found FROM {{ internal_schema }}.ticketdb_alembic_version AS v;
    END IF;
    v_found := COALESCE(v_found, 'base');
    IF v_found = {{ target }} AND v_found <> {{ start }} THEN
        RAISE EXCEPTION 'ticketdb: this script has been run, the database is at %', v_found;
    END IF;
    IF v_found <> {{ start }} THEN
        RAISE EXCEPTION 'ticketdb: this script starts at revision %, the database is at %', {{ start }}, v_found
            USING HINT = format('make another with `ticketdb script --from %s`', v_found);
    END IF;
    IF v_found <> 'base' THEN
        SELECT
            CASE
                WHEN w.key IS NULL THEN format('revision %s is in the ledger', l.revision)
                WHEN l.revision IS NULL THEN format('revision %s is not in the ledger', w.key)
                WHEN l.source_sha256 <> w.value THEN format('revision %s was another file when it was applied', w.key)
                ELSE (
                    SELECT format('the database was built with %s = %s, not %s', b.key, b.value, n.value)
                    FROM jsonb_each_text(l.variables) AS b
                    INNER JOIN jsonb_each_text({{ variables_json }}) AS n ON n.key = b.key
                    WHERE n.value <> b.value
                    LIMIT 1
                )
            END AS odd
        INTO v_odd
        FROM {{ internal_schema }}.ticketdb_migrations AS l
        FULL JOIN jsonb_each_text({{ history }}) AS w ON w.key = l.revision
        ORDER BY
            1,
            COALESCE(l.revision, w.key)
        LIMIT 1;
    END IF;
    IF v_odd IS NOT NULL THEN
        RAISE EXCEPTION 'ticketdb: this script is for another database: %', v_odd;
    END IF;
{% if not beside %}
    SELECT quote_literal(n.nspname)
    INTO v_odd
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
    INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'source_sha256'
    WHERE v_found = 'base' AND c.relname = 'ticketdb_migrations' AND n.nspname <> {{ internal_schema | literal }}
    ORDER BY n.nspname
    LIMIT 1;
    IF v_odd IS NOT NULL THEN
        RAISE EXCEPTION 'ticketdb: this database has ticketdb, with internal_schema = % and not %',
            v_odd, {{ internal_schema | literal }}
            USING HINT = 'name its schemas in ticketdb.toml; or make a script with --beside, with job names of its own';
    END IF;
{% endif %}
END;
$body$;
