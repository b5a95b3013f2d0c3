-- What the plugin for Nagios evaluates: every health check and every alert, or the alerts alone.
{% if whole %}
SELECT
    'check' AS kind,
    h.check_name AS name,
    h.status AS state,
    h.message AS text,
    NULL AS severity,
    h.value,
    h.unit,
    NULL AS comparison,
    NULL::double precision AS threshold
FROM {{ monitoring_schema }}.health AS h
UNION ALL
{% endif %}
SELECT
    'alert' AS kind,
    a.alert_name AS name,
    CASE WHEN a.firing = 0 OR a.severity = 'info' THEN 'OK' ELSE upper(a.severity) END AS state,
    a.summary AS text,
    a.severity,
    a.value,
    a.unit,
    r.comparison,
    a.threshold
FROM {{ monitoring_schema }}.alerts AS a
INNER JOIN {{ monitoring_schema }}.alert_rules AS r ON r.alert_name = a.alert_name
ORDER BY
    kind,
    name
