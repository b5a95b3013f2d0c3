-- Trigger function: fills the positions that an insert of seats has not given. What the shop gave
-- stays. Positions that were filled before are counted anew, so that the order in which seats are
-- inserted does not matter; in a row, or a section, whose positions the shop gave, the new ones
-- come last.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.place_seats()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Not a change by hand, see log_change().
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
-- Whatever the statistics are: a section is read by its index, and thousands of seats are not
-- compared with thousands.
SET enable_seqscan = off
SET enable_nestloop = off
AS $body$
DECLARE
    v_part record;
BEGIN
    FOR v_part IN
        SELECT
            new_seats.show_id,
            new_seats.section,
            array_agg(DISTINCT new_seats.row_label) AS row_labels
        FROM new_seats
        WHERE new_seats.row_position IS NULL OR new_seats.seat_position IS NULL
        GROUP BY
            new_seats.show_id,
            new_seats.section
    LOOP
        WITH seats AS MATERIALIZED (
            SELECT
                seat.id,
                seat.row_label,
                seat.seat_number,
                seat.row_position,
                seat.seat_position
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = v_part.show_id
                AND seat.section = v_part.section
        ),

        section_rows AS (
            SELECT
                seats.row_label,
                {{ internal_schema }}.natural_sort_key(seats.row_label) COLLATE "C" AS sort_key,
                min(seats.row_position) AS given,
                COALESCE(min(seats.row_position) = max(seats.row_position), true) AS is_straight
            FROM seats
            GROUP BY seats.row_label
        ),

        counted_rows AS (
            SELECT
                section_rows.*,
                row_number() OVER (
                    ORDER BY section_rows.sort_key, section_rows.row_label
                ) AS nth,
                row_number() OVER (
                    PARTITION BY section_rows.given IS NULL
                    ORDER BY section_rows.sort_key, section_rows.row_label
                ) AS nth_of_kind,
                max(section_rows.given) OVER () AS last_given
            FROM section_rows
        ),

        placed_rows AS (
            SELECT
                counted_rows.*,
                -- Those that have a position have the one that was filled in before.
                bool_and(
                    counted_rows.is_straight
                    AND COALESCE(counted_rows.given = counted_rows.nth_of_kind, true)
                ) OVER () AS are_counted
            FROM counted_rows
        ),

        row_seats AS (
            SELECT
                seats.id,
                seats.row_label,
                seats.seat_number,
                seats.seat_position AS given,
                {{ internal_schema }}.natural_sort_key(seats.seat_number) COLLATE "C" AS sort_key
            FROM seats
            INNER JOIN unnest(v_part.row_labels) AS touched (row_label)
                ON touched.row_label = seats.row_label
        ),

        counted_seats AS (
            SELECT
                row_seats.*,
                row_number() OVER (
                    PARTITION BY row_seats.row_label
                    ORDER BY row_seats.sort_key, row_seats.seat_number
                ) AS nth,
                row_number() OVER (
                    PARTITION BY row_seats.row_label, row_seats.given IS NULL
                    ORDER BY row_seats.sort_key, row_seats.seat_number
                ) AS nth_of_kind,
                max(row_seats.given) OVER (PARTITION BY row_seats.row_label) AS last_given
            FROM row_seats
        ),

        placed_seats AS (
            SELECT
                counted_seats.*,
                bool_and(COALESCE(counted_seats.given = counted_seats.nth_of_kind, true)) OVER (
                    PARTITION BY counted_seats.row_label
                ) AS are_counted
            FROM counted_seats
        ),

        placed AS (
            SELECT
                seats.id,
                CASE
                    WHEN placed_rows.are_counted THEN placed_rows.nth
                    ELSE
                        COALESCE(
                            seats.row_position,
                            placed_rows.given,
                            placed_rows.last_given + placed_rows.nth_of_kind
                        )
                END AS row_position,
                CASE
                    WHEN placed_seats.are_counted THEN placed_seats.nth
                    ELSE
                        COALESCE(
                            seats.seat_position,
                            placed_seats.last_given + placed_seats.nth_of_kind
                        )
                END AS seat_position
            FROM seats
            INNER JOIN placed_rows ON placed_rows.row_label = seats.row_label
            LEFT JOIN placed_seats ON placed_seats.id = seats.id
        )

        UPDATE {{ schema }}.show_seats
        SET
            row_position = placed.row_position,
            seat_position = placed.seat_position
        FROM placed
        WHERE
            show_seats.show_id = v_part.show_id
            AND show_seats.section = v_part.section
            AND show_seats.id = placed.id
            AND (show_seats.row_position, show_seats.seat_position)
            IS DISTINCT FROM (placed.row_position, placed.seat_position);
    END LOOP;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.place_seats() IS
'Trigger function: fills row_position and seat_position of new seats in the natural order of their '
'labels.';
