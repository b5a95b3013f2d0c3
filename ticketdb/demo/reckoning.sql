-- What buyers and clerks have counted against what the database reports, number by number: tables, logs
-- and views. %(account)s: their counts, holds, orders, tickets, refunds and blocked seats. Windows of the
-- views that are shorter than a demo are left out.
WITH

counted AS (
    SELECT
        account.entry ->> 0 AS metric,
        account.entry ->> 1 AS of_what,
        (account.entry ->> 2)::double precision AS value
    FROM jsonb_array_elements(%(account)s::jsonb -> 'account') AS account (entry)
),

hold AS (
    SELECT *
    FROM jsonb_to_recordset(%(account)s::jsonb -> 'holds') AS hold (
        id uuid, show text, status text, seats uuid[], expires_at timestamptz, extensions integer
    )
),

ordered AS (
    SELECT
        *,
        status = 'paid' AS is_paid
    FROM jsonb_to_recordset(%(account)s::jsonb -> 'orders') AS ordered (
        id uuid, show text, currency text, status text, amount bigint, received bigint
    )
),

ticket AS (
    SELECT
        ticket.*,
        ordered.show,
        ordered.currency,
        ticket.status = 'valid' AS is_valid
    FROM jsonb_to_recordset(%(account)s::jsonb -> 'tickets') AS ticket (
        id uuid, order_id uuid, seat uuid, price bigint, status text, gate text
    )
    INNER JOIN ordered ON ordered.id = ticket.order_id
),

refund AS (
    SELECT
        refund.*,
        ordered.currency
    FROM jsonb_to_recordset(%(account)s::jsonb -> 'refunds') AS refund (
        order_id uuid, amount bigint, reason text, status text
    )
    INNER JOIN ordered ON ordered.id = refund.order_id
),

-- Every seat that is not available.
taken AS (
    SELECT
        show,
        'reserved' AS status,
        unnest(seats) AS seat
    FROM hold
    WHERE status = 'active'
    UNION ALL
    SELECT show, 'sold', seat FROM ticket WHERE is_valid
    UNION ALL
    SELECT show, 'blocked', seat
    FROM jsonb_to_recordset(%(account)s::jsonb -> 'blocked') AS blocked (seat uuid, show text)
),

-- Where the money is: received, and all the rest together.
money AS (
    SELECT currency, 'received' AS place, received AS amount FROM ordered
    UNION ALL
    SELECT currency, 'in valid tickets', price FROM ticket WHERE is_valid
    UNION ALL
    SELECT currency, CASE status WHEN 'done' THEN 'returned' ELSE 'due' END, amount FROM refund
),

money_of_database AS (
    SELECT ordered.currency, 'received' AS place, came.amount_in_cents AS amount
    FROM payment_events AS came
    INNER JOIN ticket_orders AS ordered
        ON ordered.id = came.order_id AND ordered.show_id = came.show_id
    WHERE came.kind = 'payment'
    UNION ALL
    SELECT currency, 'in valid tickets', price_in_cents FROM tickets WHERE status = 'valid'
    UNION ALL
    SELECT currency, CASE status WHEN 'done' THEN 'returned' ELSE 'due' END, amount_in_cents
    FROM refunds
),

events AS (
    SELECT
        total.*,
        100 * expired / NULLIF(created, 0) AS expiration_rate_pct,
        100 * created / NULLIF(created + failed_attempts, 0) AS raw_success_rate_pct,
        100 * created / NULLIF(created + failed_attempts - conflicts, 0) AS success_rate_pct
    FROM (
        SELECT
            COALESCE(sum(value) FILTER (WHERE of_what = 'all shows: created'), 0) AS created,
            COALESCE(sum(value) FILTER (WHERE of_what = 'all shows: completed'), 0) AS completed,
            COALESCE(sum(value) FILTER (WHERE of_what = 'all shows: expired'), 0) AS expired,
            COALESCE(sum(value) FILTER (WHERE of_what = 'all shows: extended'), 0) AS extended,
            COALESCE(sum(value) FILTER (WHERE of_what = 'all shows: failed'), 0) AS failed,
            COALESCE(
                sum(value) FILTER (
                    WHERE metric = 'audit log' AND of_what IN ('completed', 'expired')
                ),
                0
            ) AS holds_ended,
            COALESCE(
                sum(value) FILTER (WHERE metric = 'attempts to reserve refused'), 0
            ) AS failed_attempts,
            COALESCE(
                sum(value) FILTER (
                    WHERE
                    metric = 'attempts to reserve refused'
                    AND of_what = 'SEATS_UNAVAILABLE'
                ),
                0
            ) AS conflicts,
            COALESCE(sum(value) FILTER (WHERE metric = 'API requests'), 0) AS requests
        FROM counted
    ) AS total
),

holds AS (
    SELECT
        count(*) FILTER (WHERE status = 'active') AS active,
        count(*) FILTER (
            WHERE status = 'active' AND expires_at < now() + interval '2 minutes'
        ) AS expiring_soon,
        COALESCE(sum(cardinality(seats)) FILTER (WHERE status = 'active'), 0) AS seats,
        count(*) FILTER (WHERE extensions > 0) AS extended
    FROM hold
),

-- Refunds are taken off: of what was paid, that for which there are valid tickets.
revenue AS (
    SELECT
        currencies.currency,
        COALESCE(sum(ticket.price) FILTER (WHERE ticket.is_valid), 0) AS revenue_cents,
        count(ticket.id) AS tickets_sold,
        (
            SELECT count(*)
            FROM ordered
            WHERE ordered.is_paid AND ordered.currency = currencies.currency
        ) AS orders_paid
    FROM (SELECT DISTINCT currency FROM ordered) AS currencies
    LEFT JOIN ticket ON ticket.currency = currencies.currency
    GROUP BY currencies.currency
),

payments AS (
    SELECT
        count(*) AS orders,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        100.0 * count(*) FILTER (WHERE status = 'failed') / NULLIF(count(*), 0) AS failure_rate_pct,
        -- Amounts of several currencies are not added up.
        (
            SELECT
                CASE
                    WHEN count(*) FILTER (WHERE revenue_cents <> 0) <= 1
                        THEN COALESCE(sum(revenue_cents), 0)
                END
            FROM revenue
        ) AS revenue_cents,
        (SELECT count(*) FROM ticket) AS tickets
    FROM ordered
),

most_frequent_errors AS (
    SELECT
        of_what AS error_message,
        value
    FROM counted
    WHERE metric = 'error messages'
    ORDER BY value DESC
    LIMIT 10
),

-- What the views must show, computed from the buyers' account.
expected AS (
    SELECT
        'realtime_dashboard' AS view,
        NULL AS label,
        figure.name,
        figure.value::double precision AS value
    FROM events
    CROSS JOIN holds
    CROSS JOIN payments
    CROSS JOIN LATERAL (
        VALUES
        ('active_reservations', holds.active),
        ('reservations_last_hour', events.created),
        ('tickets_sold_today', payments.tickets),
        ('revenue_today_cents', payments.revenue_cents),
        ('last_cleanup_failed', 0)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'revenue_today', revenue.currency, figure.name, figure.value
    FROM revenue
    CROSS JOIN LATERAL (
        VALUES
        ('revenue_cents', revenue.revenue_cents),
        ('orders_paid', revenue.orders_paid),
        ('tickets_sold', revenue.tickets_sold)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'refunds_due', due.reason || ' ' || due.currency, figure.name, figure.value
    FROM (
        SELECT
            refund.reason,
            refund.currency,
            count(*) AS refunds,
            sum(refund.amount) / power(10::numeric, min(unit.decimals)) AS amount
        FROM refund
        INNER JOIN currencies AS unit ON unit.code = refund.currency
        WHERE refund.status = 'due'
        GROUP BY
            refund.reason,
            refund.currency
    ) AS due
    CROSS JOIN LATERAL (VALUES ('refunds', due.refunds), ('amount', due.amount))
        AS figure (name, value)
    UNION ALL
    SELECT 'quality_dashboard', NULL, figure.name, figure.value
    FROM events
    CROSS JOIN payments
    CROSS JOIN LATERAL (
        VALUES
        ('success_rate_pct', events.success_rate_pct),
        ('raw_success_rate_pct', events.raw_success_rate_pct),
        ('double_booking_attempts', 0),
        ('expiration_rate_pct', events.expiration_rate_pct),
        ('holds_ended', events.holds_ended),
        ('payment_failure_rate_pct', payments.failure_rate_pct)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'system_health', NULL, figure.name, figure.value
    FROM events
    CROSS JOIN LATERAL (
        VALUES
        ('last_cleanup_failed', 0),
        ('overdue_holds', 0),
        ('requests_last_hour', events.requests),
        ('error_rate_pct', 0)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'api_endpoint_health', split_part(of_what, ' ', 1), figure.name, sum(figure.value)
    FROM counted
    CROSS JOIN LATERAL (
        VALUES
        ('requests', value),
        ('errors', CASE WHEN split_part(of_what, ' ', 2) >= '500' THEN value ELSE 0 END)
    ) AS figure (name, value)
    WHERE metric = 'API requests'
    GROUP BY
        2,
        3
    UNION ALL
    SELECT 'reservation_success_rate', time_window.name, figure.name, figure.value
    FROM events
    CROSS JOIN (VALUES ('1h'), ('24h')) AS time_window (name)
    CROSS JOIN LATERAL (
        VALUES
        ('total_attempts', events.created + events.failed_attempts),
        ('succeeded', events.created),
        ('race_conditions', events.conflicts),
        ('system_errors', events.failed_attempts - events.conflicts),
        ('success_rate_pct', events.success_rate_pct),
        ('raw_success_rate_pct', events.raw_success_rate_pct)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'double_booking_attempts', '24h', 'attempts', 0
    UNION ALL
    SELECT 'reservation_expiration_rate', time_window.name, figure.name, figure.value
    FROM events
    CROSS JOIN (VALUES ('1h'), ('24h')) AS time_window (name)
    CROSS JOIN LATERAL (
        VALUES
        ('total_created', events.created),
        ('total_completed', events.completed),
        ('total_expired', events.expired),
        ('expiration_rate_pct', events.expiration_rate_pct)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'reservation_hold_time', '24h', 'holds_ended', events.holds_ended FROM events
    UNION ALL
    SELECT 'cleanup_job_health', NULL, name, 0
    FROM unnest(ARRAY['last_run_failed', 'failed_runs_24h', 'overdue_holds']) AS figure (name)
    UNION ALL
    SELECT 'active_reservations', NULL, figure.name, figure.value
    FROM holds
    CROSS JOIN LATERAL (
        VALUES
        ('active_reservations', holds.active),
        ('expiring_soon', holds.expiring_soon),
        ('total_seats_held', holds.seats)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'payment_failures', '24h', figure.name, figure.value
    FROM payments
    CROSS JOIN LATERAL (
        VALUES
        ('total_orders', payments.orders),
        ('failed_orders', payments.failed),
        ('failure_rate_pct', payments.failure_rate_pct)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'hourly_metrics', 'in all', figure.name, figure.value
    FROM events
    CROSS JOIN LATERAL (
        VALUES
        ('reservations_created', events.created),
        ('reservations_completed', events.completed),
        ('reservations_expired', events.expired),
        ('reservations_failed', events.failed)
    ) AS figure (name, value)
    UNION ALL
    SELECT 'extension_trends', 'in all', figure.name, figure.value
    FROM events
    CROSS JOIN holds
    CROSS JOIN LATERAL (
        VALUES ('extensions', events.extended), ('unique_reservations', holds.extended)
    ) AS figure (name, value)
    UNION ALL
    -- Several errors may be as frequent as the tenth: compare those that are shown, and their sum.
    SELECT 'top_errors', NULL, counted.of_what, counted.value
    FROM counted
    INNER JOIN monitoring.top_errors AS shown ON shown.error_message = counted.of_what
    WHERE counted.metric = 'error messages'
    UNION ALL
    SELECT 'top_errors', NULL, 'in all', sum(value) FROM most_frequent_errors
    UNION ALL
    SELECT 'alerts', NULL, figure.name, figure.value
    FROM events
    CROSS JOIN holds
    CROSS JOIN payments
    CROSS JOIN LATERAL (
        VALUES
        ('constraint_violation', 0),
        ('double_booking_attempts', 0),
        ('cleanup_runs_failed', 0),
        ('low_success_rate', events.success_rate_pct),
        ('high_expiration_rate', events.expiration_rate_pct),
        ('high_expiration_rate_24h', events.expiration_rate_pct),
        ('extension_rate', 100 * events.extended / NULLIF(events.created, 0)),
        ('many_active_reservations', holds.active),
        ('payment_failure_rate_24h', payments.failure_rate_pct)
    ) AS figure (name, value)
),

shown AS (
    SELECT
        'realtime_dashboard' AS view,
        NULL AS label,
        to_jsonb(shown) AS figures
    FROM monitoring.realtime_dashboard AS shown
    UNION ALL
    SELECT 'revenue_today', currency, to_jsonb(shown) FROM monitoring.revenue_today AS shown
    UNION ALL
    SELECT 'refunds_due', reason || ' ' || currency, to_jsonb(shown)
    FROM monitoring.refunds_due AS shown
    UNION ALL
    SELECT 'quality_dashboard', NULL, to_jsonb(shown) FROM monitoring.quality_dashboard AS shown
    UNION ALL
    SELECT 'system_health', NULL, to_jsonb(shown) FROM monitoring.system_health AS shown
    UNION ALL
    SELECT 'api_endpoint_health', endpoint, to_jsonb(shown)
    FROM monitoring.api_endpoint_health AS shown
    UNION ALL
    SELECT 'reservation_success_rate', time_window, to_jsonb(shown)
    FROM monitoring.reservation_success_rate AS shown
    UNION ALL
    SELECT 'double_booking_attempts', time_window, to_jsonb(shown)
    FROM monitoring.double_booking_attempts AS shown
    UNION ALL
    SELECT 'reservation_expiration_rate', time_window, to_jsonb(shown)
    FROM monitoring.reservation_expiration_rate AS shown
    UNION ALL
    SELECT 'reservation_hold_time', time_window, to_jsonb(shown)
    FROM monitoring.reservation_hold_time AS shown
    UNION ALL
    SELECT 'cleanup_job_health', NULL, to_jsonb(shown) FROM monitoring.cleanup_job_health AS shown
    UNION ALL
    SELECT 'active_reservations', NULL, to_jsonb(shown)
    FROM monitoring.active_reservations AS shown
    UNION ALL
    SELECT 'payment_failures', time_window, to_jsonb(shown)
    FROM monitoring.payment_failures AS shown
    UNION ALL
    SELECT
        'hourly_metrics',
        'in all',
        jsonb_build_object(
            'reservations_created', sum(reservations_created),
            'reservations_completed', sum(reservations_completed),
            'reservations_expired', sum(reservations_expired),
            'reservations_failed', sum(reservations_failed)
        )
    FROM monitoring.hourly_metrics
    UNION ALL
    SELECT
        'extension_trends',
        'in all',
        jsonb_build_object(
            'extensions', sum(extensions), 'unique_reservations', sum(unique_reservations)
        )
    FROM monitoring.extension_trends
    UNION ALL
    SELECT
        'top_errors',
        NULL,
        jsonb_object_agg(error_message, occurrences)
        || jsonb_build_object('in all', sum(occurrences))
    FROM monitoring.top_errors
    UNION ALL
    SELECT 'alerts', NULL, jsonb_object_agg(alert_name, value) FROM monitoring.alerts
),

buyers_count AS (
    SELECT metric, of_what, value
    FROM counted
    WHERE metric NOT IN ('error messages', 'attempts to reserve refused')
    UNION ALL
    SELECT 'reservations', status, count(*) FROM hold GROUP BY status
    UNION ALL
    SELECT 'orders', status, count(*) FROM ordered GROUP BY status
    UNION ALL
    SELECT 'tickets', status, count(*) FROM ticket GROUP BY 2
    UNION ALL
    SELECT 'check-ins', gate, count(*) FROM ticket WHERE gate IS NOT NULL GROUP BY 2
    UNION ALL
    SELECT 'revenue in cents', show || ', ' || currency, sum(price)
    FROM ticket
    WHERE is_valid
    GROUP BY 2
    UNION ALL
    SELECT 'money in cents', currency || ' ' || place, sum(amount) FROM money GROUP BY 2
    UNION ALL
    SELECT 'refunds', concat_ws(' ', reason, currency, status), count(*) FROM refund GROUP BY 2
    UNION ALL
    SELECT 'seats', show || ': ' || status, count(*) FROM taken GROUP BY 2
    UNION ALL
    SELECT 'seats', shows.name || ': available', count(*)
    FROM show_seats AS seat
    INNER JOIN shows ON shows.id = seat.show_id
    WHERE seat.id NOT IN (SELECT taken.seat FROM taken)
    GROUP BY 2
    UNION ALL
    SELECT 'must not happen', 'wrong answers', COALESCE(sum(value), 0)
    FROM counted
    WHERE metric = 'wrong answers'
    UNION ALL
    SELECT 'must not happen', 'seats sold twice', count(*) - count(DISTINCT seat)
    FROM taken
    WHERE status = 'sold'
    UNION ALL
    SELECT 'must not happen', currency || ' received, but nowhere now', sum(
        CASE place WHEN 'received' THEN amount ELSE -amount END
    )
    FROM money
    GROUP BY 2
    UNION ALL
    SELECT view, concat_ws(' ', label, name), COALESCE(value, 0) FROM expected
),

-- Events that end a hold have its length; a late sale has none, nor has a release of some seats.
database_reports AS (
    SELECT
        'audit log' AS metric,
        event_type || CASE
            WHEN event_type = 'completed' AND hold_seconds IS NULL THEN ' late'
            WHEN event_type = 'released' AND hold_seconds IS NULL THEN ' in part'
            ELSE ''
        END AS of_what,
        count(*) AS value
    FROM seat_reservation_audit_log
    GROUP BY 2
    UNION ALL
    SELECT 'hold calls refused', error_code, count(*)
    FROM seat_reservation_audit_log
    WHERE event_type = 'failed'
    GROUP BY 2
    UNION ALL
    SELECT 'order calls refused', error_code, count(*)
    FROM ticket_order_audit_log
    WHERE error_code IS NOT NULL
    GROUP BY 2
    UNION ALL
    SELECT
        'order audit log',
        CASE
            WHEN log.new_status IS NULL THEN 'money went back'
            WHEN shows.status = 'cancelled' THEN shows.name || ': to ' || log.new_status
            ELSE COALESCE(log.old_status, 'new') || ' to ' || log.new_status
        END,
        count(*)
    FROM ticket_order_audit_log AS log
    INNER JOIN shows ON shows.id = log.show_id
    WHERE
        log.error_code IS NULL
        -- Left out: the portions of cancel_show(), which only it knows the number of.
        AND log.order_id IS NOT NULL
    GROUP BY 2
    UNION ALL
    SELECT
        'statistics',
        COALESCE(shows.name, 'all shows') || ': ' || counts.event_type,
        counts.value
    FROM (
        SELECT id, name FROM shows
        UNION ALL
        SELECT NULL, NULL
    ) AS shows
    CROSS JOIN LATERAL get_reservation_statistics(shows.id) AS statistics
    CROSS JOIN LATERAL (
        VALUES
        ('created', statistics.total_created),
        ('completed', statistics.total_completed),
        ('expired', statistics.total_expired),
        ('released', statistics.total_released),
        ('extended', statistics.total_extended),
        ('failed', statistics.total_failed)
    ) AS counts (event_type, value)
    WHERE counts.value > 0
    UNION ALL
    SELECT 'payment events', kind, count(*) FROM payment_events GROUP BY 2
    UNION ALL
    SELECT 'API requests', endpoint || ' ' || status_code, count(*) FROM api_request_log GROUP BY 2
    UNION ALL
    SELECT 'reservations', status, count(*) FROM seat_reservations GROUP BY 2
    UNION ALL
    SELECT 'orders', status, count(*) FROM ticket_orders GROUP BY 2
    UNION ALL
    SELECT 'tickets', status, count(*) FROM tickets GROUP BY 2
    UNION ALL
    SELECT 'check-ins', check_in_gate, count(*)
    FROM tickets
    WHERE checked_in_at IS NOT NULL
    GROUP BY 2
    UNION ALL
    SELECT 'money in cents', currency || ' ' || place, sum(amount)
    FROM money_of_database
    GROUP BY 2
    UNION ALL
    SELECT 'must not happen', currency || ' received, but nowhere now', sum(
        CASE place WHEN 'received' THEN amount ELSE -amount END
    )
    FROM money_of_database
    GROUP BY 2
    UNION ALL
    SELECT 'refunds', concat_ws(' ', reason, currency, status), count(*) FROM refunds GROUP BY 2
    UNION ALL
    SELECT 'revenue in cents', shows.name || ', ' || paid.currency, sum(
        paid.total_amount_in_cents - paid.refunded_amount_in_cents
    )
    FROM ticket_orders AS paid
    INNER JOIN shows ON shows.id = paid.show_id
    WHERE paid.status = 'paid'
    GROUP BY 2
    UNION ALL
    SELECT counted.metric, shows.name || ': ' || counted.status, count(*)
    FROM show_seats AS seat
    INNER JOIN shows ON shows.id = seat.show_id
    CROSS JOIN LATERAL (
        VALUES
        ('seats', seat.status),
        ('seat map', CASE seat.status WHEN 'reserved' THEN 'held' ELSE seat.status END)
    ) AS counted (metric, status)
    GROUP BY
        1,
        2
    UNION ALL
    SELECT
        shown.view,
        concat_ws(' ', shown.label, figure.name),
        COALESCE(figure.value, '0')::double precision
    FROM shown
    CROSS JOIN LATERAL jsonb_each_text(shown.figures) AS figure (name, value)
    WHERE
        (shown.view, figure.name) IN (SELECT expected.view, expected.name FROM expected)
        AND shown.label IS DISTINCT FROM '5m'
        AND shown.label IS DISTINCT FROM '15m'
    UNION ALL
    SELECT 'known to one side only', wrong.what, wrong.value
    FROM (
        SELECT
            'holds, or their status',
            count(*) FILTER (WHERE kept.status IS DISTINCT FROM hold.status)
        FROM seat_reservations AS kept
        FULL JOIN hold ON hold.id = kept.id
        UNION ALL
        SELECT
            'orders, or their status or amount',
            count(*) FILTER (
                WHERE (kept.status, kept.total_amount_in_cents)
                IS DISTINCT FROM (ordered.status, ordered.amount)
            )
        FROM ticket_orders AS kept
        FULL JOIN ordered ON ordered.id = kept.id
        UNION ALL
        SELECT
            'tickets, or their order',
            count(*) FILTER (
                WHERE (kept.order_id, kept.status, kept.check_in_gate)
                IS DISTINCT FROM (ticket.order_id, ticket.status, ticket.gate)
            )
        FROM tickets AS kept
        FULL JOIN ticket ON ticket.id = kept.id
        UNION ALL
        SELECT
            'seats sold, or their buyer',
            count(*) FILTER (WHERE kept.order_id IS DISTINCT FROM mine.order_id)
        FROM (
            SELECT
                show_seat_id,
                order_id
            FROM tickets
            WHERE status = 'valid'
        ) AS kept
        FULL JOIN (SELECT seat, order_id FROM ticket WHERE is_valid) AS mine
            ON mine.seat = kept.show_seat_id
        UNION ALL
        SELECT
            'refunds, or their status or amount',
            count(*) FILTER (WHERE kept.refunds IS DISTINCT FROM mine.refunds)
        FROM (
            SELECT
                order_id,
                array_agg(
                    concat_ws(' ', reason, status, amount_in_cents)
                    ORDER BY reason, status, amount_in_cents
                ) AS refunds
            FROM refunds
            GROUP BY order_id
        ) AS kept
        FULL JOIN (
            SELECT
                order_id,
                array_agg(
                    concat_ws(' ', reason, status, amount) ORDER BY reason, status, amount
                ) AS refunds
            FROM refund
            GROUP BY order_id
        ) AS mine ON mine.order_id = kept.order_id
    ) AS wrong (what, value)
    UNION ALL
    SELECT 'holds and audit log', wrong.what, wrong.value
    FROM (
        SELECT
            count(*) FILTER (WHERE log.created IS DISTINCT FROM 1) AS not_created_once,
            count(*) FILTER (
                WHERE kept.status <> 'active' AND log.last_event IS DISTINCT FROM kept.status
            ) AS ended_otherwise,
            count(*) FILTER (WHERE log.expired > 1) AS expired_again,
            count(*) FILTER (WHERE kept.extension_count IS DISTINCT FROM log.extended) AS miscounted
        FROM seat_reservations AS kept
        FULL JOIN (
            SELECT
                reservation_id,
                count(*) FILTER (WHERE event_type IN ('created', 'issued')) AS created,
                count(*) FILTER (WHERE event_type = 'expired') AS expired,
                count(*) FILTER (WHERE event_type = 'extended') AS extended,
                -- What is sold at the counter is never held.
                (
                    array_agg(
                        CASE event_type WHEN 'issued' THEN 'completed' ELSE event_type END
                        ORDER BY id DESC
                    )
                    FILTER (
                        WHERE event_type IN ('issued', 'completed', 'released', 'expired')
                    )
                )[1] AS last_event
            FROM seat_reservation_audit_log
            WHERE event_type <> 'failed' AND reservation_id IS NOT NULL
            GROUP BY reservation_id
        ) AS log ON log.reservation_id = kept.id
    ) AS counts
    CROSS JOIN LATERAL (
        VALUES
        ('not created exactly once', counts.not_created_once),
        ('ended otherwise than logged', counts.ended_otherwise),
        ('expired more than once', counts.expired_again),
        ('extended otherwise than logged', counts.miscounted)
    ) AS wrong (what, value)
    UNION ALL
    SELECT 'must not happen', 'failed runs of the cleanup', count(*)
    FROM reservation_cleanup_runs
    WHERE status = 'failed'
    UNION ALL
    SELECT 'must not happen', 'deadlocks', deadlocks
    FROM pg_stat_database
    WHERE datname = current_database()
    UNION ALL
    SELECT 'invariants broken', invariant, violations FROM monitoring.invariant_violations
)

-- A missing row counts as 0; what must never happen has a row on one side only.
SELECT
    metric,
    of_what,
    COALESCE(buyers_count.value, 0)::double precision AS buyers_count,
    COALESCE(database_reports.value, 0)::double precision AS database_reports,
    abs(COALESCE(buyers_count.value, 0) - COALESCE(database_reports.value, 0)) < 1e-6 AS agree
FROM buyers_count
FULL JOIN database_reports USING (metric, of_what)
ORDER BY
    array_position(
        ARRAY[
            'reservations', 'audit log', 'holds and audit log', 'statistics', 'orders',
            'order audit log', 'payment events', 'tickets', 'check-ins', 'seats', 'seat map',
            'revenue in cents', 'money in cents', 'refunds',
            'known to one side only', 'hold calls refused', 'order calls refused', 'API requests',
            'realtime_dashboard', 'revenue_today', 'refunds_due', 'quality_dashboard',
            'system_health', 'api_endpoint_health', 'alerts', 'reservation_success_rate', 'double_booking_attempts',
            'reservation_expiration_rate', 'reservation_hold_time', 'cleanup_job_health',
            'active_reservations', 'payment_failures', 'hourly_metrics', 'extension_trends',
            'top_errors', 'invariants broken', 'must not happen', 'wrong answers'
        ],
        metric
    ),
    of_what;
