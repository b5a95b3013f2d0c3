-- The guide's three dashboards and its key metrics, each after a line that says who reads it and
-- what it is called. Only the state of other people's connections is not for dashboard_reader.

-- as dashboard_reader: Real-Time Operations
SELECT
    (
        SELECT count(*) FROM seat_reservations WHERE is_active AND expires_at > now()
    ) AS active_reservations,
    (
        SELECT count(*)
        FROM seat_reservation_audit_log
        WHERE event_type = 'created' AND created_at > now() - interval '1 hour'
    ) AS reservations_last_hour,
    (
        SELECT count(*) FROM tickets WHERE created_at >= current_date
    ) AS tickets_sold_today,
    last_run.status AS last_cleanup_status,
    extract(EPOCH FROM now() - last_run.end_time)::double precision AS last_cleanup_age_seconds,
    last_run.duration_seconds AS last_cleanup_duration_seconds
FROM (SELECT) AS now_and_here
LEFT JOIN (SELECT * FROM reservation_cleanup_job_status LIMIT 1) AS last_run ON true;

-- as dashboard_reader: Quality Metrics, 24 hours
SELECT
    100.0::double precision * events.created
    / NULLIF(events.created + events.failed - events.race_conditions, 0) AS success_rate_pct,
    100.0::double precision * events.created
    / NULLIF(events.created + events.failed, 0) AS raw_success_rate_pct,
    events.race_conditions,
    events.constraint_hits AS double_booking_attempts,
    100.0 * statistics.expiration_rate AS expiration_rate_pct,
    statistics.avg_hold_seconds,
    100.0::double precision * orders.failed / NULLIF(orders.total, 0) AS payment_failure_rate_pct
FROM get_reservation_statistics(NULL, 24) AS statistics
CROSS JOIN (
    SELECT
        count(*) FILTER (WHERE event_type = 'created') AS created,
        count(*) FILTER (WHERE event_type = 'failed') AS failed,
        count(*) FILTER (WHERE error_message LIKE '%taken by another%') AS race_conditions,
        count(*) FILTER (WHERE error_message LIKE '%constraint%') AS constraint_hits
    FROM seat_reservation_audit_log
    WHERE created_at > now() - interval '24 hours'
) AS events
CROSS JOIN (
    SELECT
        count(*) AS total,
        count(*) FILTER (WHERE status = 'failed') AS failed
    FROM ticket_orders
    WHERE created_at > now() - interval '24 hours'
) AS orders;

-- as dashboard_reader: Revenue today
SELECT
    shows.name AS show,
    shows.currency,
    count(orders.id) AS orders_paid,
    COALESCE(sum(orders.total_amount_in_cents), 0)::bigint AS revenue_cents
FROM shows
LEFT JOIN ticket_orders AS orders
    ON
        orders.show_id = shows.id
        AND orders.status = 'paid'
        AND orders.created_at >= current_date
GROUP BY shows.id
ORDER BY shows.id;

-- as dashboard_reader: System Health: last runs of the cleanup
SELECT scheduler, status, duration_seconds AS seconds, return_message
FROM reservation_cleanup_job_status
LIMIT 3;

-- as none: System Health: connections
SELECT
    COALESCE(state, 'unknown') AS state,
    count(*) AS connections,
    current_setting('max_connections')::integer AS max_connections
FROM pg_stat_activity
WHERE backend_type = 'client backend'
GROUP BY state
ORDER BY connections DESC;

-- as dashboard_reader: System Health: API endpoints
SELECT
    endpoint,
    count(*) AS calls,
    count(*) FILTER (WHERE status_code BETWEEN 400 AND 499) AS refused,
    count(*) FILTER (WHERE status_code >= 500) AS errors,
    percentile_cont(0.50) WITHIN GROUP (ORDER BY duration_ms) AS p50_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95_ms,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_ms) AS p99_ms
FROM api_request_log
GROUP BY endpoint
ORDER BY calls DESC;

-- as dashboard_reader: Top Errors
SELECT error_message, count(*) AS occurrences
FROM seat_reservation_audit_log
WHERE event_type = 'failed' AND created_at > now() - interval '24 hours'
GROUP BY error_message
ORDER BY occurrences DESC
LIMIT 5;
