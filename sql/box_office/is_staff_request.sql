-- Called by the functions of the box office that get a list of seats or tickets.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_staff_request(
    p_show_id uuid,
    p_ids uuid[],
    p_staff text
)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    COALESCE(
        p_show_id IS NOT NULL
        AND p_staff ~ '[^[:space:]]'
        AND length(p_staff) <= 200
        AND cardinality(p_ids) > 0
        AND cardinality(p_ids) = (
            SELECT count(DISTINCT wanted.id) FROM unnest(p_ids) AS wanted (id)
        ),
        false
    );
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.is_staff_request(uuid, uuid[], text) IS
'Whether a call of the box office names a show, who makes it, and at least one id, none of them '
'NULL or twice.';
