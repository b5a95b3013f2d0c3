-- Called by a scanner at an entrance: lets the holder of a ticket in, once. Locks nothing but the
-- ticket, and waits for nothing while it has it: so it cannot be part of a deadlock with functions
-- that lock tickets last.
CREATE OR REPLACE FUNCTION {{ schema }}.check_in_ticket(
    p_show_id uuid,
    p_ticket_code text,
    p_gate text,
    p_nonce text
)
RETURNS TABLE (
    success boolean,
    ticket_id uuid,
    section text,
    row_label text,
    seat_number text,
    ticket_type text,
    checked_in_at timestamptz,
    gate text,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_ticket record;
    v_seat record;
    v_reservation_id uuid;
    v_seat_ids uuid[];
    v_detail jsonb := jsonb_build_object('gate', left(p_gate, 200));
BEGIN
    -- A person who has been let in must not be let in again after a crash.
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        BEGIN
            -- A blank nonce would make every scan a repeat of the first.
            IF p_show_id IS NULL
                OR COALESCE(p_gate, '') !~ '[^[:space:]]'
                OR p_nonce !~ '[^[:space:]]'
                OR GREATEST(length(p_gate), length(p_nonce)) > 200
            THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;
            SELECT scanned.*
            INTO v_ticket
            FROM {{ schema }}.tickets AS scanned
            WHERE
                -- Codes are in capitals, but for one that was written by hand.
                scanned.ticket_code = ANY(ARRAY[p_ticket_code, upper(p_ticket_code)])
                AND scanned.show_id = p_show_id
            ORDER BY scanned.ticket_code = p_ticket_code DESC
            LIMIT 1
            FOR UPDATE;
            SELECT
                seat.id,
                seat.section,
                seat.row_label,
                seat.seat_number,
                paid.reservation_id
            INTO v_seat
            FROM {{ schema }}.show_seats AS seat
            INNER JOIN {{ schema }}.ticket_orders AS paid ON paid.show_id = seat.show_id
            WHERE
                seat.id = v_ticket.show_seat_id
                AND seat.show_id = v_ticket.show_id
                AND paid.id = v_ticket.order_id;
            v_reservation_id := v_seat.reservation_id;
            v_seat_ids := array_remove(ARRAY[v_seat.id], NULL);

            error_code := CASE
                WHEN v_ticket.id IS NULL THEN 'NOT_FOUND'
                WHEN v_ticket.status <> 'valid' THEN 'TICKET_NOT_VALID'
                WHEN v_ticket.check_in_nonce = p_nonce THEN NULL
                WHEN v_ticket.checked_in_at IS NOT NULL THEN 'ALREADY_USED'
            END;
            IF error_code IS NULL AND v_ticket.checked_in_at IS NULL THEN
                UPDATE {{ schema }}.tickets
                SET
                    checked_in_at = clock_timestamp(),
                    check_in_gate = p_gate,
                    check_in_nonce = p_nonce
                WHERE
                    tickets.id = v_ticket.id
                    AND tickets.show_id = p_show_id
                RETURNING tickets.* INTO v_ticket;
                PERFORM {{ internal_schema }}.log_staff_action(
                    'checked_in', p_show_id, v_reservation_id, v_seat_ids, NULL, v_detail
                );
            END IF;
            ticket_id := v_ticket.id;
            section := v_seat.section;
            row_label := v_seat.row_label;
            seat_number := v_seat.seat_number;
            ticket_type := v_ticket.ticket_type;
            checked_in_at := v_ticket.checked_in_at;
            gate := v_ticket.check_in_gate;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'check_in_ticket', error_code, error_message, p_show_id, v_reservation_id, NULL,
            v_seat_ids, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.check_in_ticket(uuid, text, text, text) IS
'Lets the holder of a ticket in, once; the code may be in letters of any case. A repeat with the '
'same p_nonce, a name that the scanner gives to the scan, gets the first answer again; NULL is '
'never a repeat. Error codes: INVALID_INPUT, NOT_FOUND (no such code in this show), '
'TICKET_NOT_VALID (cancelled or refunded), ALREADY_USED (with the time and the gate of the first '
'scan), BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.check_in_ticket(uuid, text, text, text)
TO {{ box_office_role }};
{% endif %}
