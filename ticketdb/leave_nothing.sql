-- What is left after the first revision is undone. A schema that somebody else owns, or that
-- something else lives in, stays.
DROP TABLE IF EXISTS {{ schema }}.ticketdb_alembic_version;
{% if not keep_schema %}
DO $body$
BEGIN
    IF {{ schema | literal }} <> 'public' AND pg_get_userbyid((
        SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = {{ schema | literal }}
    )) = current_user THEN
        DROP SCHEMA {{ schema }};
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist THEN NULL;
END;
$body$;
{% endif %}
