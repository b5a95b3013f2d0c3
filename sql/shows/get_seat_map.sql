-- What the shop draws: all seats of a show, or those that have changed since an earlier answer. A
-- seat has changed if a transaction wrote its row that the earlier answer may not have seen, which
-- the row shows by itself, or if its hold is over, for which nothing is written. So a sale does
-- nothing for those who poll.
CREATE OR REPLACE FUNCTION {{ schema }}.get_seat_map(
    p_show_id uuid,
    p_since bigint DEFAULT NULL
)
RETURNS TABLE (
    seat_id uuid,
    section text,
    row_label text,
    seat_number text,
    row_position integer,
    seat_position integer,
    state text,
    price_in_cents bigint,
    currency text,
    version bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
-- From the index in its order, whatever the statistics are, and without compiling that for 80,000
-- seats.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_incremental_sort = off
SET jit = off
AS $body$
DECLARE
    -- Of int4: age() of a transaction so old that it has none.
    v_ever constant integer := 2147483647;
    v_now constant timestamptz := clock_timestamp();
    v_snapshot constant pg_snapshot := pg_current_snapshot();
    v_last constant bigint := pg_snapshot_xmax(v_snapshot)::text::bigint;
    v_age integer;
    v_show record;
BEGIN
    -- All transactions before this one had ended when the earlier answer was given. Rows have its
    -- last 32 bits only, which age() compares as far back as 2^31.
    v_age := CASE
        WHEN p_since BETWEEN v_last - 1000000000 AND v_last THEN age(p_since::text::xid8::xid)
        ELSE v_ever
    END;
    SELECT
        show.currency,
        CASE WHEN age(show.xmin) <= v_age THEN v_ever ELSE v_age END AS age
    INTO v_show
    FROM {{ schema }}.shows AS show
    WHERE show.id = p_show_id;

    RETURN QUERY
    SELECT
        seat.id,
        seat.section,
        seat.row_label,
        seat.seat_number,
        seat.row_position,
        seat.seat_position,
        CASE
            WHEN seat.status <> 'reserved' THEN seat.status
            WHEN seat.reserved_until > v_now THEN 'held'
            ELSE 'available'
        END,
        seat.price_in_cents,
        v_show.currency,
        pg_snapshot_xmin(v_snapshot)::text::bigint
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND (age(seat.xmin) <= v_show.age OR seat.reserved_until <= v_now)
    ORDER BY
        seat.section,
        seat.row_position,
        seat.seat_position;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_seat_map(uuid, bigint) IS
'The seats of a show in the order of their places, each available, held, sold or blocked; a hold '
'that is over counts as available. Prices are in the minor unit of the currency. With p_since, the '
'version of an earlier answer for this show: only those that may have changed since, with another '
'version, and no rows if nothing has; while a transaction is open anywhere on the server, also '
'those that have changed since it began; all of them if the show has changed, or the version is '
'not one of this server. Drop an answer that one with a higher version has overtaken; read all '
'after a restore, and after seats were deleted. Raises lock_not_available if the table is locked '
'for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_seat_map(uuid, bigint)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
