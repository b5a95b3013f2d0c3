-- What the buyers were told against what the database reports, number by number. %(told)s: the
-- buyers' accounts, holds and orders; %(dashboards)s: the dashboards as they were printed.
WITH

told AS (
    SELECT
        account.entry ->> 0 AS metric,
        account.entry ->> 1 AS of_what,
        (account.entry ->> 2)::double precision AS value
    FROM jsonb_array_elements(%(told)s::jsonb -> 'account') AS account (entry)
),

hold AS (
    SELECT *
    FROM jsonb_to_recordset(%(told)s::jsonb -> 'holds') AS hold (
        id uuid, show text, status text, seats uuid[]
    )
),

ordered AS (
    SELECT
        *,
        status = 'paid' AS is_paid
    FROM jsonb_to_recordset(%(told)s::jsonb -> 'orders') AS ordered (
        id uuid, show text, currency text, status text, amount bigint, seats uuid[], tickets uuid[]
    )
),

sum_of_events AS (
    SELECT
        COALESCE(sum(value) FILTER (WHERE of_what = 'all shows: created'), 0) AS created,
        COALESCE(sum(value) FILTER (WHERE of_what = 'all shows: failed'), 0) AS failed,
        COALESCE(sum(value) FILTER (WHERE of_what = 'all shows: expired'), 0) AS expired,
        COALESCE(sum(value) FILTER (WHERE of_what = 'SEATS_UNAVAILABLE'), 0) AS conflicts
    FROM told
    WHERE metric IN ('statistics', 'hold calls refused')
),

buyers_say AS (
    SELECT metric, of_what, value FROM told
    UNION ALL
    SELECT 'reservations', status, count(*) FROM hold GROUP BY status
    UNION ALL
    SELECT 'orders', status, count(*) FROM ordered GROUP BY status
    UNION ALL
    SELECT 'tickets', CASE WHEN is_paid THEN 'valid' ELSE status END, sum(cardinality(tickets))
    FROM ordered
    WHERE cardinality(tickets) > 0
    GROUP BY 2
    UNION ALL
    SELECT 'revenue in cents', show || ', ' || currency, sum(amount)
    FROM ordered
    WHERE is_paid
    GROUP BY 2
    UNION ALL
    SELECT 'seats', show || ': reserved', sum(cardinality(seats))
    FROM hold
    WHERE status = 'active'
    GROUP BY 2
    UNION ALL
    SELECT 'seats', show || ': sold', sum(cardinality(seats)) FROM ordered WHERE is_paid GROUP BY 2
    UNION ALL
    SELECT 'seats', shows.name || ': available', count(*)
    FROM show_seats AS seat
    INNER JOIN shows ON shows.id = seat.show_id
    WHERE
        seat.id NOT IN (
            SELECT unnest(seats) FROM hold WHERE status = 'active'
            UNION ALL
            SELECT unnest(seats) FROM ordered WHERE is_paid
        )
    GROUP BY 2
    UNION ALL
    SELECT 'must not happen', 'wrong answers', COALESCE(sum(value), 0)
    FROM told
    WHERE metric = 'wrong answers'
    UNION ALL
    SELECT 'must not happen', 'seats sold twice', count(*) - count(DISTINCT sold.seat)
    FROM ordered
    CROSS JOIN LATERAL unnest(ordered.seats) AS sold (seat)
    WHERE ordered.is_paid
    UNION ALL
    SELECT 'Real-Time Operations', dashboard.of_what, dashboard.value
    FROM sum_of_events
    CROSS JOIN LATERAL (
        VALUES
        ('active_reservations', (SELECT count(*) FROM hold WHERE status = 'active')),
        ('reservations_last_hour', sum_of_events.created),
        ('tickets_sold_today', (SELECT sum(cardinality(tickets)) FROM ordered))
    ) AS dashboard (of_what, value)
    UNION ALL
    SELECT 'Quality Metrics, 24 hours', dashboard.of_what, COALESCE(dashboard.value, 0)
    FROM sum_of_events AS e
    CROSS JOIN LATERAL (
        VALUES
        ('success_rate_pct', 100 * e.created / NULLIF(e.created + e.failed - e.conflicts, 0)),
        ('raw_success_rate_pct', 100 * e.created / NULLIF(e.created + e.failed, 0)),
        ('race_conditions', e.conflicts),
        ('double_booking_attempts', 0),
        ('expiration_rate_pct', 100 * e.expired / NULLIF(e.created, 0)),
        (
            'payment_failure_rate_pct',
            (
                SELECT 100.0 * count(*) FILTER (WHERE status = 'failed') / NULLIF(count(*), 0)
                FROM ordered
            )
        )
    ) AS dashboard (of_what, value)
    UNION ALL
    SELECT 'Revenue today', show || ', ' || currency, sum(amount)
    FROM ordered
    WHERE is_paid
    GROUP BY 2
),

-- Events that end a hold bear its length; a late sale does not, nor seats given back in part.
database_says AS (
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
    SELECT 'order audit log', COALESCE(old_status, 'new') || ' → ' || new_status, count(*)
    FROM ticket_order_audit_log
    WHERE error_code IS NULL
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
    SELECT 'revenue in cents', shows.name || ', ' || paid.currency, sum(paid.total_amount_in_cents)
    FROM ticket_orders AS paid
    INNER JOIN shows ON shows.id = paid.show_id
    WHERE paid.status = 'paid'
    GROUP BY 2
    UNION ALL
    SELECT 'seats', shows.name || ': ' || seat.status, count(*)
    FROM show_seats AS seat
    INNER JOIN shows ON shows.id = seat.show_id
    GROUP BY 2
    UNION ALL
    SELECT panel.title, figure.of_what, COALESCE(figure.value, '0')::double precision
    FROM (
        VALUES ('Real-Time Operations'), ('Quality Metrics, 24 hours')
    ) AS panel (title)
    CROSS JOIN LATERAL jsonb_each_text(%(dashboards)s::jsonb -> panel.title -> 0)
        AS figure (of_what, value)
    WHERE figure.of_what !~ '_seconds$|_status$'
    UNION ALL
    SELECT 'Revenue today', show || ', ' || currency, revenue_cents
    FROM jsonb_to_recordset(%(dashboards)s::jsonb -> 'Revenue today') AS revenue (
        show text, currency text, revenue_cents bigint
    )
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
            count(*) FILTER (WHERE kept.order_id IS DISTINCT FROM mine.order_id)
        FROM tickets AS kept
        FULL JOIN (
            SELECT
                unnest(tickets) AS id,
                id AS order_id
            FROM ordered
        ) AS mine ON mine.id = kept.id
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
        FULL JOIN (
            SELECT
                unnest(seats) AS seat_id,
                id AS order_id
            FROM ordered
            WHERE is_paid
        ) AS mine ON mine.seat_id = kept.show_seat_id
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
                count(*) FILTER (WHERE event_type = 'created') AS created,
                count(*) FILTER (WHERE event_type = 'expired') AS expired,
                count(*) FILTER (WHERE event_type = 'extended') AS extended,
                (array_agg(event_type ORDER BY id DESC))[1] AS last_event
            FROM seat_reservation_audit_log
            WHERE event_type <> 'failed'
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

-- A side without a row says 0; what must never happen has a row on one side only.
SELECT
    metric,
    of_what,
    COALESCE(buyers_say.value, 0)::double precision AS buyers_say,
    COALESCE(database_says.value, 0)::double precision AS database_says,
    abs(COALESCE(buyers_say.value, 0) - COALESCE(database_says.value, 0)) < 1e-6 AS agree
FROM buyers_say
FULL JOIN database_says USING (metric, of_what)
ORDER BY
    array_position(
        ARRAY[
            'reservations', 'audit log', 'holds and audit log', 'statistics', 'orders',
            'order audit log', 'payment events', 'tickets', 'seats', 'revenue in cents',
            'known to one side only', 'hold calls refused', 'order calls refused', 'API requests',
            'Real-Time Operations', 'Quality Metrics, 24 hours', 'Revenue today',
            'invariants broken', 'must not happen', 'wrong answers'
        ],
        metric
    ),
    of_what;
