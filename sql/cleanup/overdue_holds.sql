-- What there is for the cleanup to do: the oldest holds that are over, in portions of one show
-- each. Goes on from where the caller has come to, so that what somebody holds locked is looked at
-- once.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.overdue_holds(
    p_limit integer,
    p_portion_size integer,
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
-- The oldest come from the end of an index: not from collecting all and sorting them.
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
        numbered.place / p_portion_size,
        numbered.last_expires_at,
        numbered.last_id
    ORDER BY
        numbered.show_id,
        numbered.place / p_portion_size;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.overdue_holds(integer, integer, timestamptz, uuid) IS
'The oldest p_limit active reservations that are over, beyond the given one, in portions of at '
'most p_portion_size of one show; each row repeats which was the last of all. Internal.';
