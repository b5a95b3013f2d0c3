-- Adds a range of the log to its rollups. Called only through roll_up_metrics(), which knows which
-- ranges are final and not added yet.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.fold_reservation_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ internal_schema }}.reservation_minutes AS kept
    SELECT event.*
    FROM {{ internal_schema }}.reservation_events(p_from, p_below, p_after_id) AS event
    -- Inserted in this order, rows that are read together are on the same pages.
    ORDER BY
        event.show_id,
        event.minute
    ON CONFLICT (show_id, minute) DO UPDATE SET
        created = kept.created + excluded.created,
        completed = kept.completed + excluded.completed,
        expired = kept.expired + excluded.expired,
        released = kept.released + excluded.released,
        extended = kept.extended + excluded.extended,
        failed = kept.failed + excluded.failed,
        failed_attempts = kept.failed_attempts + excluded.failed_attempts,
        race_conditions = kept.race_conditions + excluded.race_conditions,
        constraint_violations = kept.constraint_violations + excluded.constraint_violations,
        holds_ended = kept.holds_ended + excluded.holds_ended,
        hold_microseconds = kept.hold_microseconds + excluded.hold_microseconds,
        releases_ended = kept.releases_ended + excluded.releases_ended,
        release_microseconds = kept.release_microseconds + excluded.release_microseconds;

    INSERT INTO {{ internal_schema }}.error_minutes AS kept
    SELECT event.*
    FROM {{ internal_schema }}.error_events(p_from, p_below, p_after_id) AS event
    ON CONFLICT (minute, error_message) DO UPDATE SET
        occurrences = kept.occurrences + excluded.occurrences,
        last_seen_at = GREATEST(kept.last_seen_at, excluded.last_seen_at);

    -- An extension that commits late may lie between two that are counted already. So, for each
    -- reservation with a new quarter, all its old quarters are subtracted and all its quarters are
    -- added again.
    WITH new AS (
        INSERT INTO {{ internal_schema }}.extended_reservations (reservation_id, quarter)
        SELECT
            event.reservation_id,
            event.quarter
        FROM {{ internal_schema }}.extension_events(p_from, p_below, p_after_id) AS event
        ON CONFLICT DO NOTHING
        RETURNING
            extended_reservations.reservation_id,
            extended_reservations.quarter
    ),

    old AS (
        SELECT
            counted.reservation_id,
            counted.quarter
        FROM {{ internal_schema }}.extended_reservations AS counted
        WHERE counted.reservation_id IN (SELECT new.reservation_id FROM new)
    ),

    differences AS (
        SELECT
            old.quarter,
            lag(old.quarter) OVER of_reservation AS previous_quarter,
            -1 AS reservations
        FROM old
        WINDOW of_reservation AS (PARTITION BY old.reservation_id ORDER BY old.quarter)
        UNION ALL
        SELECT
            every.quarter,
            lag(every.quarter) OVER of_reservation,
            1
        FROM (
            SELECT * FROM old
            UNION ALL
            SELECT * FROM new
        ) AS every
        WINDOW of_reservation AS (PARTITION BY every.reservation_id ORDER BY every.quarter)
    )

    INSERT INTO {{ internal_schema }}.extension_quarters (quarter, previous_quarter, reservations)
    SELECT
        difference.quarter,
        COALESCE(difference.previous_quarter, 'epoch'),
        sum(difference.reservations)
    FROM differences AS difference
    GROUP BY
        1,
        2
    HAVING sum(difference.reservations) <> 0
    ON CONFLICT (quarter, previous_quarter) DO UPDATE SET
        reservations = extension_quarters.reservations + excluded.reservations;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_reservation_events(xid8, xid8, bigint) IS
'Adds a range of seat_reservation_audit_log to its rollups.';
