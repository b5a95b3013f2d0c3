-- Adds a range of the log to its rollups. Nobody but roll_up_metrics() calls this: it knows which
-- ranges are final and have not been added yet.
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
    WITH events AS MATERIALIZED (
        SELECT event.*
        FROM {{ internal_schema }}.reservation_events(p_from, p_below, p_after_id) AS event
    ),

    of_shows AS (
        INSERT INTO {{ internal_schema }}.reservation_show_minutes (
            show_id, minute, created, completed, expired, released, extended,
            failed, failed_attempts, race_conditions, constraint_violations, holds_ended,
            hold_microseconds, releases_ended, release_microseconds
        )
        SELECT
            event.show_id,
            event.minute,
            event.created,
            event.completed,
            event.expired,
            event.released,
            event.extended,
            event.failed,
            event.failed_attempts,
            event.race_conditions,
            event.constraint_violations,
            event.holds_ended,
            event.hold_microseconds,
            event.releases_ended,
            event.release_microseconds
        FROM events AS event
        ORDER BY
            event.show_id,
            event.minute
        ON CONFLICT (show_id, minute) DO UPDATE SET
            created = reservation_show_minutes.created + excluded.created,
            completed = reservation_show_minutes.completed + excluded.completed,
            expired = reservation_show_minutes.expired + excluded.expired,
            released = reservation_show_minutes.released + excluded.released,
            extended = reservation_show_minutes.extended + excluded.extended,
            failed = reservation_show_minutes.failed + excluded.failed,
            failed_attempts = reservation_show_minutes.failed_attempts + excluded.failed_attempts,
            race_conditions = reservation_show_minutes.race_conditions + excluded.race_conditions,
            constraint_violations = reservation_show_minutes.constraint_violations + excluded.constraint_violations,
            holds_ended = reservation_show_minutes.holds_ended + excluded.holds_ended,
            hold_microseconds = reservation_show_minutes.hold_microseconds + excluded.hold_microseconds,
            releases_ended = reservation_show_minutes.releases_ended + excluded.releases_ended,
            release_microseconds = reservation_show_minutes.release_microseconds + excluded.release_microseconds
    )

    INSERT INTO {{ internal_schema }}.reservation_minutes (
        minute, created, completed, expired, released, extended, failed,
        failed_attempts, race_conditions, constraint_violations, holds_ended,
        hold_microseconds, releases_ended, release_microseconds
    )
    SELECT
        event.minute,
        sum(event.created),
        sum(event.completed),
        sum(event.expired),
        sum(event.released),
        sum(event.extended),
        sum(event.failed),
        sum(event.failed_attempts),
        sum(event.race_conditions),
        sum(event.constraint_violations),
        sum(event.holds_ended),
        sum(event.hold_microseconds),
        sum(event.releases_ended),
        sum(event.release_microseconds)
    FROM events AS event
    GROUP BY event.minute
    -- Neighbours in time on the same pages.
    ORDER BY event.minute
    ON CONFLICT (minute) DO UPDATE SET
        created = reservation_minutes.created + excluded.created,
        completed = reservation_minutes.completed + excluded.completed,
        expired = reservation_minutes.expired + excluded.expired,
        released = reservation_minutes.released + excluded.released,
        extended = reservation_minutes.extended + excluded.extended,
        failed = reservation_minutes.failed + excluded.failed,
        failed_attempts = reservation_minutes.failed_attempts + excluded.failed_attempts,
        race_conditions = reservation_minutes.race_conditions + excluded.race_conditions,
        constraint_violations = reservation_minutes.constraint_violations + excluded.constraint_violations,
        holds_ended = reservation_minutes.holds_ended + excluded.holds_ended,
        hold_microseconds = reservation_minutes.hold_microseconds + excluded.hold_microseconds,
        releases_ended = reservation_minutes.releases_ended + excluded.releases_ended,
        release_microseconds = reservation_minutes.release_microseconds + excluded.release_microseconds;

    INSERT INTO {{ internal_schema }}.error_messages (message_sha256, error_message)
    SELECT DISTINCT
        event.message_sha256,
        event.error_message
    FROM {{ internal_schema }}.error_events(p_from, p_below, p_after_id) AS event
    ON CONFLICT DO NOTHING;

    INSERT INTO {{ internal_schema }}.error_minutes (minute, message_sha256, occurrences, last_seen_at)
    SELECT
        event.minute,
        event.message_sha256,
        event.occurrences,
        event.last_seen_at
    FROM {{ internal_schema }}.error_events(p_from, p_below, p_after_id) AS event
    ON CONFLICT (minute, message_sha256) DO UPDATE SET
        occurrences = error_minutes.occurrences + excluded.occurrences,
        last_seen_at = GREATEST(error_minutes.last_seen_at, excluded.last_seen_at);

    -- Late ones may come between two that are counted already: of each reservation that has a new
    -- quarter, all its quarters are taken off and put on again.
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
'Adds a part of seat_reservation_audit_log to its rollups. Internal.';
