-- For purge_history(): deletes minutes that no view reads any more.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.purge_rollups()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_settings {{ schema }}.ticketing_settings;
    v_rollup record;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;

    -- The rollup job must not run at the same time: it may add to a row that is deleted here.
    PERFORM
    FROM {{ internal_schema }}.metric_watermarks AS mark
    ORDER BY mark.log
    FOR UPDATE;

    FOR v_rollup IN
        SELECT rollups.*
        FROM (
            VALUES
            -- As far back as get_reservation_statistics() looks, plus an hour.
            ('reservation_minutes_all', 'minute', interval '8761 hours'),
            -- As long as the months of the log: a month is kept until its last day is past
            -- retention.
            (
                'reservation_minutes_by_show', 'minute',
                make_interval(hours => 24 * (v_settings.audit_retention_days + 31))
            ),
            (
                'order_minutes', 'minute',
                make_interval(hours => 24 * v_settings.audit_retention_days)
            ),
            -- Longer than any window of the views that read them.
            ('error_minutes', 'minute', interval '48 hours'),
            ('api_request_minutes', 'minute', interval '48 hours'),
            ('api_duration_minutes', 'minute', interval '48 hours'),
            ('extension_quarters', 'quarter', interval '240 hours'),
            ('extended_reservations', 'quarter', interval '240 hours')
        ) AS rollups (name, at, kept)
    LOOP
        EXECUTE format(
            'DELETE FROM %I.%I AS rolled_up WHERE rolled_up.%I < $1',
            {{ internal_schema | literal }}, v_rollup.name, v_rollup.at
        )
        USING now() - v_rollup.kept;
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := v_rollup.name;
            RETURN NEXT;
        END IF;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.purge_rollups() IS
'Deletes rollups that no view reads any more, and returns from which tables and how many rows.';
