-- Called by the functions that sell: a refusal is a row, since an exception would roll back the row
-- that records it.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_reservation_failure(
    p_function text,
    p_error_code text,
    p_error_message text,
    p_show_id uuid,
    p_reservation_id uuid,
    p_session_id text,
    p_seat_ids uuid[] DEFAULT NULL,
    p_user_agent text DEFAULT NULL,
    p_ip_address inet DEFAULT NULL,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- An expression, which costs less than PERFORM. The caller's SET lock_timeout restores it.
    IF set_config('lock_timeout', {{ internal_schema }}.time_for_the_log(), true) IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO {{ schema }}.seat_reservation_audit_log (
        event_type, reservation_id, show_id, session_id, seat_count, seat_ids, error_code,
        error_message, user_agent, ip_address, metadata
    )
    VALUES (
        'failed',
        p_reservation_id,
        COALESCE(p_show_id, '00000000-0000-0000-0000-000000000000'),
        left(p_session_id, 200),
        COALESCE(cardinality(p_seat_ids), 0),
        COALESCE(p_seat_ids[:100], '{}'),
        p_error_code,
        p_error_message,
        left(p_user_agent, 1000),
        p_ip_address,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_reservation_failure(
    text, text, text, uuid, uuid, text, uuid[], text, inet, jsonb
) IS
'Records a refusal of a call about a hold in seat_reservation_audit_log. Raises '
'lock_not_available if the log is locked.';
