-- What the cleanup has to do: the oldest overdue holds, in batches of one show each. Continues
-- after the last hold that the caller has seen, so that a locked hold is tried once.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.overdue_reservation_batches(
    p_limit integer,
    p_batch_size integer,
    p_after_expires_at timestamptz,
    p_after_id uuid
)
RETURNS TABLE (
    show_id uuid,
    reservation_ids uuid[],
    last_expires_at timestamptz,
    last_id uuid
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Read the oldest from the end of an index, instead of collecting and sorting all.
SET enable_bitmapscan = off
AS $body$
BEGIN
    RETURN QUERY
    WITH oldest AS MATERIALIZED (
        SELECT
            hold.id,
            hold.show_id,
            hold.expires_at
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.is_active
            AND hold.expires_at <= now()
            AND (hold.expires_at, hold.id) > (p_after_expires_at, p_after_id)
        ORDER BY
            hold.expires_at,
            hold.id
        LIMIT p_limit
    ),

    numbered AS (
        SELECT
            oldest.id,
            oldest.show_id,
            row_number() OVER (
                PARTITION BY oldest.show_id
                ORDER BY oldest.expires_at, oldest.id
            ) - 1 AS place,
            last_value(oldest.expires_at) OVER everything AS last_expires_at,
            last_value(oldest.id) OVER everything AS last_id
        FROM oldest
        WINDOW
            everything AS (
                ORDER BY oldest.expires_at, oldest.id
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            )
    )

    SELECT
        numbered.show_id,
        array_agg(numbered.id) AS reservation_ids,
        numbered.last_expires_at,
        numbered.last_id
    FROM numbered
    GROUP BY
        numbered.show_id,
        numbered.place / p_batch_size,
        numbered.last_expires_at,
        numbered.last_id
    ORDER BY
        numbered.show_id,
        numbered.place / p_batch_size;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.overdue_reservation_batches(
    integer, integer, timestamptz, uuid
) IS
'The oldest p_limit overdue reservations after the given one, in batches of at most p_batch_size '
'of one show. Each row repeats which is the last of all.';
