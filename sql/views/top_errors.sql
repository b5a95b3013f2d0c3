-- The ten most frequent reasons for which calls are refused. A row says so when there was none: a
-- panel or an alert without rows has no data.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.top_errors AS
SELECT
    error.error_message,
    error.occurrences,
    GREATEST(error.age_seconds, 0) AS last_seen_age_seconds
FROM (
    SELECT
        top.error_message,
        top.occurrences,
        extract(EPOCH FROM now() - top.last_seen_at)::double precision AS age_seconds
    FROM {{ schema }}.error_metrics({{ schema }}.window_start('24 hours'), 10) AS top
    UNION ALL
    SELECT
        '(none)',
        0,
        0
    WHERE
        NOT EXISTS (
            SELECT
            FROM {{ schema }}.error_metrics({{ schema }}.window_start('24 hours'), 1)
        )
) AS error
ORDER BY
    error.occurrences DESC,
    error.age_seconds ASC,
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
