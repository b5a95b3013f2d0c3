-- Gives a buyer who is still busy more time.
CREATE OR REPLACE FUNCTION {{ schema }}.extend_reservation(
    p_reservation_token text,
    p_session_id text,
    OUT success boolean,
    OUT reservation_id uuid,
    OUT expires_at timestamptz,
    OUT extensions_remaining integer,
    OUT error_code text,
    OUT error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_settings {{ schema }}.ticketing_settings;
    v_hold {{ schema }}.seat_reservations;
    v_expires_at timestamptz;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    BEGIN
        v_hold := {{ schema }}.lock_reservation(p_reservation_token);
        SELECT settings.*
        INTO v_settings
        FROM {{ schema }}.ticketing_settings AS settings
        WHERE settings.singleton;
        v_expires_at := LEAST(
            v_hold.expires_at + make_interval(mins => v_settings.extension_minutes),
            v_hold.created_at + make_interval(mins => v_settings.max_hold_minutes)
        );
        error_code := CASE
            WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
            WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
            WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
            WHEN v_hold.status = 'expired' OR v_hold.expires_at <= now() THEN 'RESERVATION_EXPIRED'
            WHEN v_hold.extension_count >= v_settings.max_extensions
                OR v_expires_at <= v_hold.expires_at
                THEN 'MAX_EXTENSIONS_REACHED'
        END;
        IF error_code IS NULL THEN
            -- A trigger moves reserved_until of the seats, another writes the audit log.
            UPDATE {{ schema }}.seat_reservations
            SET
                expires_at = v_expires_at,
                extension_count = seat_reservations.extension_count + 1
            WHERE
                seat_reservations.id = v_hold.id
                AND seat_reservations.show_id = v_hold.show_id;
        END IF;
    EXCEPTION
        WHEN serialization_failure THEN
            RAISE;
        WHEN OTHERS THEN
            error_code := 'INTERNAL_ERROR';
            v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
    END;

    success := error_code IS NULL;
    IF success THEN
        reservation_id := v_hold.id;
        expires_at := v_expires_at;
        extensions_remaining := v_settings.max_extensions - v_hold.extension_count - 1;
    ELSE
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_reservation_failure(
            'extend_reservation', error_code, error_message, v_hold.show_id, v_hold.id,
            p_session_id, p_detail => v_detail
        );
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.extend_reservation(text, text) IS
'Extends a hold by ticketing_settings.extension_minutes, at most max_extensions times and '
'max_hold_minutes in all. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, '
'RESERVATION_EXPIRED, MAX_EXTENSIONS_REACHED, INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.extend_reservation(text, text) TO {{ app_role }};
{% endif %}
