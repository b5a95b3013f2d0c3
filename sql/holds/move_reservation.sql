-- Moves a hold to another session of the same buyer: a guest logs in.
CREATE OR REPLACE FUNCTION {{ schema }}.move_reservation(
    p_reservation_token text,
    p_session_id text,
    p_new_session_id text,
    p_user_id text DEFAULT NULL,
    p_email text DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
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
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_look record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_now := clock_timestamp();
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                show.status = 'cancelled' AS is_cancelled,
                other.id AS other_id,
                other.expires_at > v_now AS is_other_live
            INTO v_look
            FROM {{ schema }}.shows AS show
            LEFT JOIN {{ schema }}.seat_reservations AS other
                ON
                    other.show_id = v_show_id
                    AND other.session_id = p_new_session_id
                    AND other.status = 'active'
                    AND other.id <> v_reservation_id
            WHERE show.id = v_show_id;

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                -- It may have been moved already, and the answer lost.
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id
                    AND v_hold.session_id IS DISTINCT FROM p_new_session_id
                    THEN 'PERMISSION_DENIED'
                WHEN COALESCE(p_new_session_id, '') !~ '[^[:space:]]'
                    OR length(p_new_session_id) > 200
                    OR length(p_user_id) > 200
                    OR length(p_email) > 320
                    THEN 'INVALID_INPUT'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= v_now
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_look.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                WHEN v_look.is_other_live THEN 'DUPLICATE_RESERVATION'
            END;
            EXIT WHEN
                error_code IS NOT NULL
                OR v_hold.session_id = p_new_session_id
                AND COALESCE(p_user_id = v_hold.user_id, p_user_id IS NULL)
                AND COALESCE(p_email = v_hold.email, p_email IS NULL);

            IF v_look.other_id IS NOT NULL THEN
                PERFORM {{ internal_schema }}.expire_reservations_for_buyer(
                    v_show_id, ARRAY[v_look.other_id], '{}'
                );
            END IF;

            UPDATE {{ schema }}.seat_reservations
            SET
                session_id = p_new_session_id,
                user_id = COALESCE(p_user_id, seat_reservations.user_id),
                email = COALESCE(p_email, seat_reservations.email)
            WHERE
                seat_reservations.id = v_reservation_id
                AND seat_reservations.show_id = v_show_id;

            -- The status of the reservation stays, so the audit trigger does not fire.
            INSERT INTO {{ schema }}.seat_reservation_audit_log (
                event_type, reservation_id, show_id, session_id, seat_count, seat_ids
            )
            SELECT
                'transferred',
                v_reservation_id,
                v_show_id,
                p_new_session_id,
                count(*) FILTER (WHERE claim.released_at IS NULL),
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_reservation_id
                AND claim.show_id = v_show_id;
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
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'seat_reservations_one_active_per_session' THEN
                    -- The new session has reserved between our look and our write: look again.
                    IF current_setting('transaction_isolation') IN (
                        'repeatable read', 'serializable'
                    ) THEN
                        RAISE EXCEPTION 'the session has reserved since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    ELSIF {{ internal_schema }}.wait_for_others(v_since) THEN
                        CONTINUE;
                    END IF;
                    error_code := 'DUPLICATE_RESERVATION';
                ELSE
                    error_code := 'INTERNAL_ERROR';
                    v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                END IF;
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        reservation_id := v_reservation_id;
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'move_reservation', error_code, error_message, v_show_id, v_reservation_id,
            p_session_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.move_reservation(text, text, text, text, text) IS
'Moves a hold to another session, with its token, and records user and e-mail address where they '
'are given. A call that changes nothing succeeds, so it is safe to repeat. Error codes: NOT_FOUND, '
'PERMISSION_DENIED, INVALID_INPUT, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE '
'(cancelled), DUPLICATE_RESERVATION (the other session holds seats of the show), BUSY (locked by '
'another session for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.move_reservation(text, text, text, text, text)
TO {{ app_role }};
{% endif %}
