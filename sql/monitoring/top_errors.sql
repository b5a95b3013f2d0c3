-- The ten most frequent reasons for which calls are refused. A row says so when there was none: a
-- panel or an alert without rows has no data.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.top_errors AS
SELECT
    COALESCE(error.error_message, '(none)') AS error_message,
    COALESCE(error.occurrences, 0) AS occurrences,
    GREATEST(
        extract(EPOCH FROM now() - error.last_seen_at)::double precision, 0
    ) AS last_seen_age_seconds
FROM (VALUES (1)) AS always (is_there) -- noqa: ST11
LEFT JOIN
    {{ internal_schema }}.error_metrics({{ internal_schema }}.window_start('24 hours'), 10) AS error
    ON true
ORDER BY
    error.occurrences DESC,
    error.last_seen_at DESC,
    error.error_message ASC;

COMMENT ON VIEW {{ monitoring_schema }}.top_errors IS
'The ten most frequent error messages of the last 24 hours.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.error_message IS
'The message; (no message) where a row has none, (none) when there was no error.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.occurrences IS 'How often.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.last_seen_age_seconds IS
'Seconds since the latest; 0 for one in the future.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.top_errors TO {{ monitor_role }};
{% endif %}
