-- What the views of reservations read: minutes that are rolled up, and the rest of the log. Called
-- within one statement, both come from its snapshot: no event is missed or counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_metrics(
    p_since timestamptz,
    p_show_id uuid DEFAULT NULL
)
RETURNS TABLE (
    minute timestamptz,
    created bigint,
    completed bigint,
    expired bigint,
    released bigint,
    extended bigint,
    failed bigint,
    failed_attempts bigint,
    race_conditions bigint,
    constraint_violations bigint,
    holds_ended bigint,
    hold_microseconds bigint,
    releases_ended bigint,
    release_microseconds bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner knows nothing of a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Its estimates are guesses, too: to compile takes longer than to run.
SET jit = off
ROWS 1500
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        rolled_up.minute,
        rolled_up.created,
        rolled_up.completed,
        rolled_up.expired,
        rolled_up.released,
        rolled_up.extended,
        rolled_up.failed,
        rolled_up.failed_attempts,
        rolled_up.race_conditions,
        rolled_up.constraint_violations,
        rolled_up.holds_ended,
        rolled_up.hold_microseconds,
        rolled_up.releases_ended,
        rolled_up.release_microseconds
    FROM {{ internal_schema }}.reservation_minutes AS rolled_up
    WHERE
        p_show_id IS NULL
        AND rolled_up.minute >= p_since
    UNION ALL
    SELECT
        of_show.minute,
        of_show.created,
        of_show.completed,
        of_show.expired,
        of_show.released,
        of_show.extended,
        of_show.failed,
        of_show.failed_attempts,
        of_show.race_conditions,
        of_show.constraint_violations,
        of_show.holds_ended,
        of_show.hold_microseconds,
        of_show.releases_ended,
        of_show.release_microseconds
    FROM {{ internal_schema }}.reservation_show_minutes AS of_show
    WHERE
        of_show.show_id = p_show_id
        AND of_show.minute >= p_since
    UNION ALL
    SELECT
        recent.minute,
        recent.created,
        recent.completed,
        recent.expired,
        recent.released,
        recent.extended,
        recent.failed,
        recent.failed_attempts,
        recent.race_conditions,
        recent.constraint_violations,
        recent.holds_ended,
        recent.hold_microseconds,
        recent.releases_ended,
        recent.release_microseconds
    FROM {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
    CROSS JOIN LATERAL {{ internal_schema }}.reservation_events(
        tail.from_xact_id, tail.below_xact_id, tail.after_id
    ) AS recent
    WHERE
        recent.minute >= p_since
        AND (p_show_id IS NULL OR recent.show_id = p_show_id);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_metrics(timestamptz, uuid) IS
'Events of holds from p_since on, of one show or all: rows of a minute each, to be added up; a '
'minute may have several.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.reservation_metrics(
    timestamptz, uuid
) TO {{ monitor_role }};
{% endif %}
