-- Gives a session more time for its hold.
CREATE OR REPLACE FUNCTION {{ schema }}.extend_reservation(
    p_reservation_token text,
    p_session_id text,
    p_expires_at timestamptz DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
    expires_at timestamptz,
    extensions_remaining integer,
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
    v_settings record;
    -- A record: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_show_id uuid;
    v_expires_at timestamptz;
    v_is_repeated boolean;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                policy.extension_minutes,
                policy.max_extensions,
                policy.max_hold_minutes,
                show.status = 'cancelled' AS is_cancelled
            INTO v_settings
            FROM {{ schema }}.ticketing_settings AS policy
            LEFT JOIN {{ schema }}.shows AS show ON show.id = v_hold.show_id
            WHERE policy.singleton;
            v_expires_at := LEAST(
                v_hold.expires_at + make_interval(mins => v_settings.extension_minutes),
                v_hold.created_at + make_interval(mins => v_settings.max_hold_minutes)
            );
            -- Within a second: a JavaScript date has milliseconds, and some clients print seconds.
            v_is_repeated := COALESCE(v_hold.expires_at - p_expires_at >= interval '1 s', false);
            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_settings.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                WHEN v_is_repeated THEN NULL
                WHEN v_hold.extension_count >= v_settings.max_extensions
                    OR v_expires_at <= v_hold.expires_at
                    THEN 'MAX_EXTENSIONS_REACHED'
            END;
            IF error_code IS NULL AND NOT v_is_repeated THEN
                -- A trigger moves reserved_until of the seats, another writes the audit log.
                UPDATE {{ schema }}.seat_reservations
                SET
                    expires_at = v_expires_at,
                    extension_count = seat_reservations.extension_count + 1
                WHERE
                    seat_reservations.id = v_hold.id
                    AND seat_reservations.show_id = v_hold.show_id
                RETURNING seat_reservations.* INTO v_hold;
            END IF;
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
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        expires_at := v_hold.expires_at;
        extensions_remaining := GREATEST(
            0, v_settings.max_extensions - v_hold.extension_count
        );
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'extend_reservation', error_code, error_message, v_show_id, reservation_id,
            p_session_id, p_detail => v_detail
        );
        reservation_id := NULL;
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.extend_reservation(text, text, timestamptz) IS
'Extends a hold by ticketing_settings.extension_minutes, at most max_extensions times and to '
'max_hold_minutes in all. To make the call safe to repeat, pass p_expires_at, the end that the '
'caller knows: a hold that ends later than that is returned unchanged. Error codes: NOT_FOUND, '
'PERMISSION_DENIED, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), '
'MAX_EXTENSIONS_REACHED, BUSY (locked by another session for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.extend_reservation(text, text, timestamptz)
TO {{ app_role }};
{% endif %}
