-- For purge_history(). Rows without personal data are not in the index that this reads, so it
-- contains only what is left to do.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.purge_personal_data(p_limit integer)
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- A retention policy and not a change by hand, see log_change().
SET commit_siblings = 997
SET enable_seqscan = off
AS $body$
DECLARE
    v_before timestamptz;
BEGIN
    SELECT now() - make_interval(hours => 24 * settings.personal_data_retention_days)
    INTO v_before
    FROM {{ schema }}.ticketing_settings AS settings;

    UPDATE {{ schema }}.seat_reservations
    SET
        user_id = NULL,
        email = NULL,
        user_agent = NULL,
        ip_address = NULL
    WHERE
        -- By ctid: any join might be planned as one with the whole table.
        seat_reservations.ctid = ANY(
            ARRAY(
                SELECT hold.ctid
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.ended_at < v_before
                    AND hold.ended_at IS NOT NULL
                    AND (
                        hold.user_id IS NOT NULL
                        OR hold.email IS NOT NULL
                        OR hold.user_agent IS NOT NULL
                        OR hold.ip_address IS NOT NULL
                    )
                ORDER BY hold.ended_at
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            )
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'seat_reservations';
        RETURN NEXT;
    END IF;

    -- The message of a provider may contain names.
    UPDATE {{ schema }}.ticket_orders
    SET error_message = NULL
    WHERE
        ticket_orders.ctid = ANY(
            ARRAY(
                SELECT failed.ctid
                FROM {{ schema }}.ticket_orders AS failed
                WHERE
                    failed.created_at < v_before
                    AND failed.error_message IS NOT NULL
                ORDER BY failed.created_at
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            )
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'ticket_orders';
        RETURN NEXT;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.purge_personal_data(integer) IS
'Sets the personal columns of at most p_limit reservations and as many orders to NULL, if they '
'are past personal_data_retention_days, oldest first, and returns how many of each.';
