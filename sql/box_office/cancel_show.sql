-- Cancels a show, of whatever size, beside payments that still arrive. Since it commits, it can
-- have neither a SET clause nor SECURITY DEFINER: each transaction sets the search path instead.
CREATE OR REPLACE PROCEDURE {{ schema }}.cancel_show(
    p_show_id uuid,
    p_staff text,
    INOUT holds_ended integer DEFAULT NULL,
    INOUT orders_cancelled integer DEFAULT NULL,
    INOUT orders_refunded integer DEFAULT NULL
)
LANGUAGE plpgsql
AS $body$
DECLARE
    v_portion record;
BEGIN
    -- Ends the transaction that the caller's settings apply to. Inside a transaction of the caller
    -- it raises an error, before anything is done.
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    holds_ended := 0;
    orders_cancelled := 0;
    orders_refunded := 0;
    LOOP
        SELECT portion.*
        INTO v_portion
        FROM {{ schema }}.cancel_show_portion(p_show_id, p_staff) AS portion;
        -- A refusal, too, so that its line in the log stays.
        COMMIT AND CHAIN;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF NOT v_portion.success THEN
            RAISE EXCEPTION '%', v_portion.error_message
            USING
                ERRCODE = CASE v_portion.error_code
                    WHEN 'NOT_FOUND' THEN 'no_data_found'
                    WHEN 'INVALID_INPUT' THEN 'invalid_parameter_value'
                    WHEN 'BUSY' THEN 'lock_not_available'
                    ELSE 'internal_error'
                END,
                DETAIL = v_portion.error_code,
                HINT = 'Call it again: it continues with what is left.';
        END IF;
        holds_ended := cancel_show.holds_ended + v_portion.holds_ended;
        orders_cancelled := cancel_show.orders_cancelled + v_portion.orders_cancelled;
        orders_refunded := cancel_show.orders_refunded + v_portion.orders_refunded;
        EXIT WHEN v_portion.is_done;
    END LOOP;
END;
$body$;

-- The linter takes the name in this one statement for a call.
COMMENT ON PROCEDURE {{ schema }}.cancel_show( -- noqa: LT01
    uuid, text, integer, integer, integer
) IS
'Cancels a show with cancel_show_portion(), committing each portion, and returns what this call '
'did. Safe to repeat after an error or an interruption, and to run twice at once. Inside a '
'transaction it raises 2D000 (invalid_transaction_termination): call cancel_show_portion() there. '
'Errors: P0002 (no such show), 22023 (a blank p_staff), 55P03 (all that is left is locked by other '
'sessions: call it again).';

{% if manage_roles %}
GRANT EXECUTE ON PROCEDURE {{ schema }}.cancel_show(uuid, text, integer, integer, integer)
TO {{ box_office_role }};
{% endif %}
