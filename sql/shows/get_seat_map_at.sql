-- For disputes: begins with the present state, and undoes for each seat what happened to it first
-- after the moment. What a seat was before an event follows from the kind of the event.
CREATE OR REPLACE FUNCTION {{ schema }}.get_seat_map_at(p_show_id uuid, p_at timestamptz)
RETURNS TABLE (
    seat_id uuid,
    section text,
    row_label text,
    seat_number text,
    row_position integer,
    seat_position integer,
    state text,
    reservation_id uuid,
    order_id uuid
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
-- Without a look at statistics: the logs are read from the moment on by their index of time, whole
-- lists are joined by hash, and rows of large tables are fetched by key, one by one.
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET jit = off
AS $body$
BEGIN
    IF p_at IS NULL
        OR p_at < {{ internal_schema }}.log_beginning(
            ARRAY['seat_reservation_audit_log', 'change_log']
        )
    THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH events AS (
        SELECT
            event.id,
            event.xact_id,
            event.created_at,
            event.event_type,
            event.reservation_id,
            seat.id AS seat_id,
            seat.list,
            CASE
                WHEN seat.list = 1 OR event.event_type = 'refunded' THEN 'sold'
                WHEN seat.list = 2 OR event.event_type = 'unblocked' THEN 'blocked'
                WHEN event.event_type IN ('released', 'expired') THEN 'reserved'
                -- Late: the hold had ended, and took free seats again.
                WHEN event.event_type = 'completed' AND NOT event.metadata ? 'late' THEN 'reserved'
                ELSE 'available'
            END AS status
        FROM {{ schema }}.seat_reservation_audit_log AS event
        CROSS JOIN LATERAL (
            SELECT
                left_seat.id::uuid AS id,
                1 AS list
            FROM jsonb_array_elements_text(event.metadata -> 'from_seat_ids') AS left_seat (id)
            UNION ALL
            SELECT
                blocked_seat.id::uuid,
                2
            FROM jsonb_array_elements_text(event.metadata -> 'blocked_seat_ids')
                AS blocked_seat (id)
            -- Of refunded ones it says what they became.
            WHERE event.event_type IN ('issued', 'moved')
            UNION ALL
            SELECT
                named_seat.id,
                3
            FROM unnest(event.seat_ids) AS named_seat (id)
        ) AS seat
        WHERE
            event.show_id = p_show_id
            AND event.created_at > p_at
            AND event.event_type NOT IN (
                'failed', 'extended', 'priced', 'transferred', 'checked_in'
            )
    ),

    in_order AS (
        SELECT
            events.*,
            row_number() OVER by_seat AS nth,
            lead(events.reservation_id) OVER by_seat AS next_reservation_id,
            lead(events.list) OVER by_seat AS next_list,
            lead(events.xact_id) OVER by_seat AS next_xact_id
        FROM events
        WINDOW by_seat AS (PARTITION BY events.seat_id ORDER BY events.id, events.list)
    ),

    undone AS (
        SELECT
            first_event.seat_id,
            first_event.created_at,
            1 AS log,
            CASE WHEN first_event.is_swapped THEN 'sold' ELSE first_event.status END AS status,
            CASE
                WHEN first_event.is_swapped THEN first_event.next_reservation_id
                ELSE first_event.reservation_id
            END AS reservation_id
        FROM (
            SELECT
                in_order.*,
                -- One call has moved a ticket of another reservation away from the seat: each
                -- reservation has a line of its own, in any order.
                COALESCE(
                    in_order.event_type = 'moved'
                    AND in_order.next_list = 1
                    AND in_order.next_xact_id = in_order.xact_id
                    AND in_order.next_reservation_id <> in_order.reservation_id,
                    false
                ) AS is_swapped
            FROM in_order
            WHERE in_order.nth = 1
        ) AS first_event
        UNION ALL
        (
            SELECT DISTINCT ON (change.row_key ->> 'id')
                (change.row_key ->> 'id')::uuid,
                change.created_at,
                2,
                -- Old values are those of the columns that have changed.
                COALESCE(change.old_values ->> 'status', 'reserved'),
                (change.old_values ->> 'reserved_by')::uuid
            FROM {{ internal_schema }}.change_log AS change
            WHERE
                change.created_at > p_at
                AND change.table_name = 'show_seats'
                AND change.row_key ->> 'show_id' = p_show_id::text
                AND change.old_values ?| ARRAY['status', 'reserved_by']
                AND change.operation = 'update'
            ORDER BY
                change.row_key ->> 'id',
                change.id
        )
    ),

    first_undone AS (
        SELECT DISTINCT ON (undone.seat_id) undone.*
        FROM undone
        ORDER BY
            undone.seat_id,
            undone.created_at,
            undone.log
    ),

    -- The end of a hold that was moved by hand since: functions only move it while it has not come.
    moved_ends AS (
        SELECT DISTINCT ON (change.row_key ->> 'id')
            (change.row_key ->> 'id')::uuid AS reservation_id,
            (change.old_values ->> 'expires_at')::timestamptz AS expires_at
        FROM {{ internal_schema }}.change_log AS change
        WHERE
            change.created_at > p_at
            AND change.table_name = 'seat_reservations'
            AND change.row_key ->> 'show_id' = p_show_id::text
            AND change.old_values ? 'expires_at'
        ORDER BY
            change.row_key ->> 'id',
            change.id
    ),

    seats AS (
        SELECT
            seat.id,
            seat.section,
            seat.row_label,
            seat.seat_number,
            seat.row_position,
            seat.seat_position,
            COALESCE(first_undone.status, seat.status) AS status,
            CASE
                WHEN first_undone.status IS NULL
                    THEN COALESCE(seat.reserved_by, present_claim.reservation_id)
                ELSE COALESCE(first_undone.reservation_id, past_claim.reservation_id)
            END AS reservation_id
        FROM {{ schema }}.show_seats AS seat
        LEFT JOIN first_undone ON first_undone.seat_id = seat.id
        LEFT JOIN LATERAL (
            SELECT claim.reservation_id
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                first_undone.status IS NULL
                AND seat.status = 'sold'
                AND claim.show_id = p_show_id
                AND claim.show_seat_id = seat.id
                AND claim.released_at IS NULL
            LIMIT 1
        ) AS present_claim ON true
        -- A sale that was undone by hand: the change of the seat does not name the buyer.
        LEFT JOIN LATERAL (
            SELECT claim.reservation_id
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                first_undone.status = 'sold'
                AND first_undone.reservation_id IS NULL
                AND claim.show_id = p_show_id
                AND claim.show_seat_id = seat.id
                AND COALESCE(claim.released_at, 'infinity') > p_at
                AND (
                    SELECT buyer.status
                    FROM {{ schema }}.seat_reservations AS buyer
                    WHERE
                        buyer.show_id = p_show_id
                        AND buyer.id = claim.reservation_id
                ) = 'completed'
            ORDER BY claim.released_at
            LIMIT 1
        ) AS past_claim ON true
        WHERE seat.show_id = p_show_id
    )

    SELECT
        seats.id,
        seats.section,
        seats.row_label,
        seats.seat_number,
        seats.row_position,
        seats.seat_position,
        CASE
            WHEN seats.status <> 'reserved' THEN seats.status
            WHEN hold.is_live THEN 'held'
            ELSE 'available'
        END,
        CASE WHEN seats.status = 'sold' OR hold.is_live THEN seats.reservation_id END,
        sale.order_id
    FROM seats
    LEFT JOIN moved_ends ON moved_ends.reservation_id = seats.reservation_id
    LEFT JOIN LATERAL (
        SELECT COALESCE(moved_ends.expires_at, held.expires_at) > p_at AS is_live
        FROM {{ schema }}.seat_reservations AS held
        WHERE
            seats.status = 'reserved'
            AND held.show_id = p_show_id
            AND held.id = seats.reservation_id
        LIMIT 1
    ) AS hold ON true
    LEFT JOIN LATERAL (
        -- A late payment for another order of the hold has bought no tickets.
        SELECT paid.id AS order_id
        FROM {{ schema }}.ticket_orders AS paid
        WHERE
            seats.status = 'sold'
            AND paid.show_id = p_show_id
            AND paid.reservation_id = seats.reservation_id
            AND (
                SELECT count(*)
                FROM {{ schema }}.tickets AS ticket
                WHERE
                    ticket.order_id = paid.id
                    AND ticket.show_id = p_show_id
            ) > 0
        LIMIT 1
    ) AS sale ON true
    ORDER BY
        seats.section,
        seats.row_position,
        seats.seat_position;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_seat_map_at(uuid, timestamptz) IS
'Which seat was whose at a moment: its state, the reservation that held or bought it, and the '
'order that paid for it. Computed from the present state and the logs: no rows for a moment before '
'their oldest partition. What a transaction did counts from its start. Lists the seats that exist '
'now, in the order of their present places. Raises lock_not_available if a table is locked for 2 '
's.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_seat_map_at(uuid, timestamptz) TO {{ box_office_role }};
{% endif %}
