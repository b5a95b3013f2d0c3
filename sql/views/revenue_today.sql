-- Dashboard 1, revenue by currency. Every currency that a show is sold in has its row, and a house
-- without shows one that says none. The day is told by the date of each
-- minute: its first instant cannot be computed where clocks are put back at midnight.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.revenue_today AS
WITH settings AS (
    SELECT max(setting.business_time_zone) AS business_time_zone
    FROM {{ schema }}.ticketing_settings AS setting
),

today AS (
    SELECT
        metric.currency,
        sum(metric.revenue_in_cents)::bigint AS revenue_cents,
        sum(metric.paid_orders)::bigint AS orders_paid,
        sum(metric.tickets)::bigint AS tickets_sold
    FROM settings
    CROSS JOIN LATERAL {{ schema }}.order_metrics({{ schema }}.window_start('26 hours')) AS metric
    WHERE
        metric.minute < now() + interval '2 days'
        AND (metric.minute AT TIME ZONE settings.business_time_zone)::date
        = (now() AT TIME ZONE settings.business_time_zone)::date
    GROUP BY metric.currency
),

currencies AS (
    SELECT today.currency FROM today
    UNION
    SELECT show.currency FROM {{ schema }}.shows AS show
    UNION
    SELECT 'none' AS currency
    WHERE NOT EXISTS (SELECT FROM {{ schema }}.shows)
)

SELECT
    currencies.currency,
    COALESCE(today.revenue_cents, 0) AS revenue_cents,
    COALESCE(today.orders_paid, 0) AS orders_paid,
    COALESCE(today.tickets_sold, 0) AS tickets_sold
FROM currencies
LEFT JOIN today ON today.currency = currencies.currency;

COMMENT ON VIEW {{ monitoring_schema }}.revenue_today IS
'Revenue of today by currency. Today begins at midnight in business_time_zone.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.currency IS
'ISO 4217 code; none while there is no show.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.revenue_cents IS
'Total of the orders created today that are paid, in hundredths of the currency.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.orders_paid IS 'How many orders that are.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.tickets_sold IS
'Tickets issued today, refunded ones included.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.revenue_today TO {{ monitor_role }};
{% endif %}
