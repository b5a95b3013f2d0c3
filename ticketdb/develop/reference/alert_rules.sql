-- When an alert fires.
SELECT
    r.alert_name,
    r.severity,
    r.comparison,
    r.threshold,
    r.unit,
    r.time_window_seconds,
    r.minimum_events,
    r.summary,
    r.action,
    r.runbook
FROM {{ monitoring_schema }}.alert_rules AS r
ORDER BY
    array_position(ARRAY['critical', 'warning', 'info'], r.severity),
    r.alert_name COLLATE "C"
