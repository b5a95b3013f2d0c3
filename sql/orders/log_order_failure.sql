-- Called by the functions that sell: a refusal is a row, since an exception would roll back the row
-- that records it.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_order_failure(
    p_function text,
    p_error_code text,
    p_error_message text,
    p_show_id uuid,
    p_order_id uuid DEFAULT NULL,
    p_reservation_id uuid DEFAULT NULL,
    p_session_id text DEFAULT NULL,
    p_old_status text DEFAULT NULL,
    p_amount_in_cents bigint DEFAULT NULL,
    p_payment_provider text DEFAULT NULL,
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
    INSERT INTO {{ schema }}.ticket_order_audit_log (
        order_id, reservation_id, show_id, session_id, old_status, amount_in_cents,
        payment_provider, error_code, error_message, metadata
    )
    VALUES (
        p_order_id,
        p_reservation_id,
        COALESCE(p_show_id, '00000000-0000-0000-0000-000000000000'),
        left(p_session_id, 200),
        p_old_status,
        p_amount_in_cents,
        left(p_payment_provider, 200),
        p_error_code,
        p_error_message,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_order_failure(
    text, text, text, uuid, uuid, uuid, text, text, bigint, text, jsonb
) IS 'Records a refusal of a call about an order in ticket_order_audit_log.';
