-- What the views of errors read: minutes that are rolled up, and the rest of the log, in one
-- snapshot.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.error_metrics(p_since timestamptz, p_limit integer)
RETURNS TABLE (
    error_message text,
    occurrences bigint,
    last_seen_at timestamptz
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
ROWS 10
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        COALESCE(top.recent_message, message.error_message),
        top.occurrences,
        top.last_seen_at
    FROM (
        SELECT
            minutes.message_sha256,
            max(minutes.error_message) AS recent_message,
            sum(minutes.occurrences)::bigint AS occurrences,
            max(minutes.last_seen_at) AS last_seen_at
        FROM (
            SELECT
                rolled_up.message_sha256,
                NULL AS error_message,
                rolled_up.occurrences,
                rolled_up.last_seen_at
            FROM {{ internal_schema }}.error_minutes AS rolled_up
            WHERE rolled_up.minute >= p_since
            UNION ALL
            SELECT
                recent.message_sha256,
                recent.error_message,
                recent.occurrences,
                recent.last_seen_at
            FROM {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
            CROSS JOIN LATERAL {{ internal_schema }}.error_events(
                tail.from_xact_id, tail.below_xact_id, tail.after_id
            ) AS recent
            WHERE recent.minute >= p_since
        ) AS minutes
        GROUP BY minutes.message_sha256
        ORDER BY
            occurrences DESC,
            last_seen_at DESC,
            minutes.message_sha256
        LIMIT p_limit
    ) AS top
    LEFT JOIN {{ internal_schema }}.error_messages AS message
        ON message.message_sha256 = top.message_sha256;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.error_metrics(timestamptz, integer) IS
'The p_limit most frequent messages of refused calls about holds from p_since on, how often they '
'came and when last.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.error_metrics(
    timestamptz, integer
) TO {{ monitor_role }};
{% endif %}
