-- Dashboard 1 of the operations guide: revenue by currency, never added up. Every currency of a
-- show has a row; if there is no show, there is one row with the currency none. Today is determined
-- by the date of each minute, since the first instant of a day cannot be computed where clocks are
-- put back at midnight.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.revenue_today AS
WITH RECURSIVE settings AS (
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
    CROSS JOIN
        LATERAL {{ internal_schema }}.order_metrics({{ internal_schema }}.window_start('26 hours'))
            AS metric
    WHERE
        metric.minute < now() + interval '2 days'
        AND (metric.minute AT TIME ZONE settings.business_time_zone)::date
        = (now() AT TIME ZONE settings.business_time_zone)::date
    GROUP BY metric.currency
    -- Leaves out currencies that occur only in refused payments.
    HAVING sum(metric.paid_orders) <> 0 OR sum(metric.tickets) <> 0
),

given_back AS (
    SELECT
        refund.currency,
        sum(refund.refunded_in_cents)::bigint AS refunded_cents
    FROM settings
    CROSS JOIN
        LATERAL {{ internal_schema }}.partial_refunds(
            {{ internal_schema }}.window_start('26 hours')
        )
            AS refund
    WHERE
        refund.ordered_at < now() + interval '2 days'
        AND (refund.ordered_at AT TIME ZONE settings.business_time_zone)::date
        = (now() AT TIME ZONE settings.business_time_zone)::date
    GROUP BY refund.currency
),

-- Steps from one currency to the next in the index, since currencies are few and shows many.
of_shows AS (
    SELECT min(show.currency) AS currency
    FROM {{ schema }}.shows AS show
    UNION ALL
    SELECT
        (
            SELECT min(show.currency)
            FROM {{ schema }}.shows AS show
            WHERE show.currency > of_shows.currency
        )
    FROM of_shows
    WHERE of_shows.currency IS NOT NULL
),

currencies AS (
    SELECT today.currency FROM today
    UNION
    SELECT of_shows.currency
    FROM of_shows
    WHERE of_shows.currency IS NOT NULL
    UNION
    SELECT 'none' AS currency
    WHERE NOT EXISTS (SELECT FROM {{ schema }}.shows)
)

SELECT
    currencies.currency,
    COALESCE(today.revenue_cents, 0) - COALESCE(given_back.refunded_cents, 0) AS revenue_cents,
    COALESCE(today.orders_paid, 0) AS orders_paid,
    COALESCE(today.tickets_sold, 0) AS tickets_sold,
    (COALESCE(today.revenue_cents, 0) - COALESCE(given_back.refunded_cents, 0))
    / power(10::double precision, COALESCE(unit.decimals, 2)) AS revenue
FROM currencies
LEFT JOIN today ON today.currency = currencies.currency
LEFT JOIN given_back ON given_back.currency = currencies.currency
LEFT JOIN {{ schema }}.currencies AS unit ON unit.code = currencies.currency;

COMMENT ON VIEW {{ monitoring_schema }}.revenue_today IS
'Revenue of today by currency. Today begins at midnight in business_time_zone.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.currency IS
'ISO 4217 code; none if there is no show.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.revenue_cents IS
'Total amount of the orders created today that are paid, less refunds for some of their tickets, '
'in the minor unit of the currency: cents of EUR, yen of JPY.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.orders_paid IS
'Number of orders created today that are paid.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.tickets_sold IS
'Tickets issued today, including those refunded since.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.revenue IS
'The same revenue in the major unit: euros of EUR, yen of JPY.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.revenue_today TO {{ monitor_role }};
{% endif %}
