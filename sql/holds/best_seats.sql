-- Called by reserve_best_seats(): proposes seats, without locks. Reads rows from the front on, in
-- portions that have more and more free seats, until there are seats that none further back can
-- surpass: what lies behind them does not matter. If there are none, it compares all. A row that is
-- a portion by itself, such as a floor of standing places, is read from its middle on.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.best_seats(
    p_show_id uuid,
    p_quantity integer,
    p_section text,
    p_max_price_in_cents bigint,
    p_taken_ids uuid[]
)
RETURNS TABLE (seat_ids uuid[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
ROWS 50
AS $body$
DECLARE
    v_sections text[] := ARRAY[p_section];
    v_first bigint;
    v_last bigint;
    -- The portion; v_to is NULL behind the last one.
    v_from bigint;
    v_to bigint;
    v_is_whole boolean := false;
    v_free_seats integer := 20;
    -- How far from the middle of a row, in half places. No place is further than v_everywhere.
    v_everywhere constant bigint := 10000000000;
    v_near constant bigint := 64 + 2 * p_quantity::bigint;
    v_reach bigint := v_near;
    v_width bigint;
BEGIN
    IF p_section IS NULL THEN
        -- From one section to the next, without reading the seats between.
        WITH RECURSIVE walk (section) AS (
            SELECT min(seat.section)
            FROM {{ schema }}.show_seats AS seat
            WHERE seat.show_id = p_show_id
            UNION ALL
            SELECT (
                SELECT min(seat.section)
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section > walk.section
            )
            FROM walk
            WHERE walk.section IS NOT NULL
        )

        SELECT array_agg(walk.section)
        INTO v_sections
        FROM walk
        WHERE walk.section IS NOT NULL;
    END IF;

    SELECT
        min(edge.first)::bigint,
        max(edge.last)::bigint
    INTO
        v_first,
        v_last
    FROM unnest(v_sections) AS part (section)
    CROSS JOIN LATERAL (
        SELECT
            min(seat.row_position) AS first,
            max(seat.row_position) AS last
        FROM {{ schema }}.show_seats AS seat
        WHERE
            seat.show_id = p_show_id
            AND seat.section = part.section
    ) AS edge;

    v_from := v_first;
    LOOP
        IF NOT v_is_whole THEN
            SELECT min(enough.row_position)::bigint
            INTO v_to
            FROM unnest(v_sections) AS part (section)
            CROSS JOIN LATERAL (
                SELECT seat.row_position
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section = part.section
                    AND seat.row_position >= v_from
                    AND seat.status = 'available'
                ORDER BY seat.row_position
                OFFSET v_free_seats / cardinality(v_sections)
                LIMIT 1
            ) AS enough;
            v_is_whole := v_from = v_first AND v_to IS NULL;
        END IF;
        IF v_to IS DISTINCT FROM v_from THEN
            v_reach := v_everywhere;
        END IF;

        RETURN QUERY
        WITH hall_rows AS (
            SELECT
                part.section,
                hall_row.*,
                row_number() OVER (
                    ORDER BY part.section, hall_row.row_position, hall_row.row_label
                ) AS nth,
                (
                    SELECT min(seat.seat_position)::bigint + max(seat.seat_position)
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.section = part.section
                        AND seat.row_position = hall_row.row_position
                ) AS doubled_middle
            FROM unnest(v_sections) AS part (section)
            CROSS JOIN LATERAL (
                SELECT
                    COALESCE(min(seat.seat_position)::bigint + max(seat.seat_position), 0)
                        AS doubled_middle
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section = part.section
                    AND seat.row_position = v_from
            ) AS first_row
            CROSS JOIN LATERAL (
                SELECT
                    seat.row_position,
                    seat.row_label,
                    array_agg(seat.id) AS ids,
                    array_agg(seat.seat_position::bigint) AS positions,
                    array_agg(seat.price_in_cents) AS prices
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section = part.section
                    AND seat.row_position BETWEEN v_from AND COALESCE(v_to, v_last)
                    AND seat.seat_position BETWEEN (first_row.doubled_middle - v_reach) / 2
                    AND (first_row.doubled_middle + v_reach) / 2
                    AND seat.status = 'available'
                GROUP BY
                    seat.row_position,
                    seat.row_label
            ) AS hall_row
        ),

        free AS (
            SELECT
                hall_rows.nth,
                hall_rows.section,
                -- Differences of two integers may not fit into one.
                hall_rows.row_position::bigint AS row_position,
                hall_rows.doubled_middle,
                seat.id,
                seat.position,
                seat.price_in_cents,
                -- The same for all seats of a run without a gap.
                seat.position - row_number() OVER (
                    PARTITION BY hall_rows.nth ORDER BY seat.position
                ) AS run
            FROM hall_rows
            CROSS JOIN LATERAL unnest(hall_rows.ids, hall_rows.positions, hall_rows.prices)
                AS seat (id, position, price_in_cents)
            WHERE seat.id <> ALL(p_taken_ids)
        ),

        runs AS (
            SELECT
                free.*,
                min(free.position) OVER of_run AS run_first,
                max(free.position) OVER of_run AS run_last
            FROM free
            WINDOW of_run AS (PARTITION BY free.nth, free.run)
        ),

        wanted AS (
            SELECT
                runs.*,
                -- How many times one has passed a gap, from the front to here.
                count(*) FILTER (WHERE runs.is_after_gap) OVER in_order AS gaps
            FROM (
                SELECT
                    runs.*,
                    (runs.nth, runs.position) IS DISTINCT FROM (
                        lag(runs.nth) OVER in_order, lag(runs.position) OVER in_order + 1
                    ) AS is_after_gap
                FROM runs
                WHERE runs.price_in_cents <= p_max_price_in_cents
                WINDOW in_order AS (ORDER BY runs.nth, runs.position)
            ) AS runs
            WINDOW in_order AS (ORDER BY runs.nth, runs.position)
        ),

        -- Any p_quantity seats that follow one another, gaps or not.
        groups AS (
            SELECT
                array_agg(wanted.id) OVER last_ones AS ids,
                first_value(wanted.section) OVER last_ones <> wanted.section AS is_divided,
                wanted.nth - first_value(wanted.nth) OVER last_ones AS rows_away,
                wanted.row_position - first_value(wanted.row_position) OVER last_ones AS depth,
                wanted.gaps - first_value(wanted.gaps) OVER last_ones AS gaps,
                wanted.row_position,
                wanted.position - first_value(wanted.position) OVER last_ones AS width,
                (first_value(wanted.position - wanted.run_first) OVER last_ones = 1)::integer
                + (wanted.run_last - wanted.position = 1)::integer AS orphans,
                abs(
                    first_value(wanted.position) OVER last_ones
                    + wanted.position
                    - wanted.doubled_middle
                ) AS off_centre,
                wanted.nth,
                wanted.position
            FROM wanted
            WINDOW
                last_ones AS (
                    ORDER BY wanted.nth, wanted.position
                    ROWS BETWEEN p_quantity - 1 PRECEDING AND CURRENT ROW
                )
        )

        SELECT groups.ids
        FROM groups
        WHERE
            cardinality(groups.ids) = p_quantity
            AND (
                groups.gaps = 0
                AND groups.orphans = 0
                -- What lies further out is less central, and two places beyond each end were read.
                AND groups.off_centre <= v_reach - p_quantity - 3
                OR v_is_whole
            )
        ORDER BY
            groups.is_divided,
            groups.rows_away,
            groups.depth,
            groups.gaps,
            CASE WHEN groups.rows_away = 0 THEN groups.width END,
            groups.orphans,
            groups.row_position,
            groups.off_centre,
            groups.nth,
            groups.position
        LIMIT 50;

        EXIT WHEN FOUND OR v_is_whole IS NOT FALSE;
        IF v_reach < v_everywhere THEN
            -- The same row again, further from its middle.
            SELECT max(edge.width)
            INTO v_width
            FROM unnest(v_sections) AS part (section)
            CROSS JOIN LATERAL (
                SELECT max(seat.seat_position)::bigint - min(seat.seat_position) AS width
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section = part.section
                    AND seat.row_position = v_from
            ) AS edge;
            v_reach := CASE WHEN 4 * v_reach < v_width THEN 4 * v_reach ELSE v_everywhere END;
            CONTINUE;
        END IF;
        v_reach := v_near;
        v_free_seats := 2 * v_free_seats;
        v_is_whole := v_to IS NULL;
        v_from := CASE WHEN v_is_whole THEN v_first ELSE v_to + 1 END;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.best_seats(uuid, integer, text, bigint, uuid[]) IS
'The best available groups of p_quantity seats up to a price, other than p_taken_ids, best first, '
'at most 50: adjacent, without leaving a single seat alone, near the front and the middle; else '
'in as few rows and with as few gaps as possible. NULL section: all.';
