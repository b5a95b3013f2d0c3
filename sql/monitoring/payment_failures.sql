-- Metric 7 of the operations guide. Orders count in the minute of their creation by their present
-- status, as in the guide.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.payment_failures AS
SELECT
    total.time_window,
    total.orders AS total_orders,
    total.failed_orders,
    100.0::double precision * total.failed_orders / NULLIF(total.orders, 0) AS failure_rate_pct
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.orders), 0)::bigint AS orders,
        COALESCE(sum(metric.failed_orders), 0)::bigint AS failed_orders
    FROM (
        SELECT
            named.time_window,
            {{ internal_schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('15m', interval '15 minutes'),
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN
        {{ internal_schema }}.order_metrics({{ internal_schema }}.window_start('24 hours'))
            AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.payment_failures IS
'Orders and those whose payment failed, by window.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.time_window IS
'Length of the window up to now: 15m or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.total_orders IS
'Orders created in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.failed_orders IS
'Orders created in the window whose present status is failed.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.failure_rate_pct IS
'Orders whose payment has failed, in percent of all orders; NULL without orders.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.payment_failures TO {{ monitor_role }};
{% endif %}
