-- Ends holds that are over, oldest first. Sales do not depend on it: it keeps tables and dashboards
-- tidy. What somebody holds locked is being dealt with by somebody, and is skipped until the next
-- run.
CREATE OR REPLACE FUNCTION {{ schema }}.cleanup_expired_seat_reservations(
    p_batch_size integer DEFAULT 5000,
    OUT total_reservations_expired integer,
    OUT total_seats_released integer,
    OUT reservation_ids uuid[]
)
LANGUAGE plpgsql
SET search_path = {{ schema }}, pg_temp
-- The arrays below would each be planned anew, and for their present length.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- The oldest come from the end of an index: not from collecting all and sorting them.
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_chunk record;
    v_show record;
    v_locked_ids uuid[];
    v_after_expires_at timestamptz := '-infinity'::timestamptz;
    v_after_id uuid := '00000000-0000-0000-0000-000000000000'::uuid;
BEGIN
    IF p_batch_size IS NULL OR p_batch_size NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'p_batch_size must be between 1 and 100000, not %',
            COALESCE(p_batch_size::text, 'NULL')
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    total_reservations_expired := 0;
    total_seats_released := 0;
    reservation_ids := '{}';

    -- Again past the chunk, where all of it or some was locked by somebody else.
    WHILE total_reservations_expired < p_batch_size LOOP
        SELECT
            array_agg(chunk.id ORDER BY chunk.expires_at, chunk.id) AS ids,
            array_agg(chunk.show_id ORDER BY chunk.expires_at, chunk.id) AS show_ids,
            max(chunk.expires_at) AS last_expires_at
        INTO v_chunk
        FROM (
            SELECT
                hold.id,
                hold.show_id,
                hold.expires_at
            FROM {{ schema }}.seat_reservations AS hold
            WHERE
                hold.is_active
                AND hold.expires_at <= now()
                AND (hold.expires_at, hold.id) > (v_after_expires_at, v_after_id)
            ORDER BY
                hold.expires_at,
                hold.id
            LIMIT p_batch_size - total_reservations_expired
        ) AS chunk;
        EXIT WHEN v_chunk.ids IS NULL;
        v_after_expires_at := v_chunk.last_expires_at;
        v_after_id := v_chunk.ids[cardinality(v_chunk.ids)];

        -- Show by show, in one order.
        FOR v_show IN
            SELECT
                pair.show_id,
                array_agg(pair.id) AS ids
            FROM unnest(v_chunk.ids, v_chunk.show_ids) AS pair (id, show_id)
            GROUP BY pair.show_id
            ORDER BY pair.show_id
        LOOP
            v_locked_ids := ARRAY(
                SELECT hold.id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.show_id = v_show.show_id
                    AND hold.id = ANY(v_show.ids)
                    AND hold.ended_at IS NULL
                    AND hold.expires_at <= now()
                ORDER BY hold.id
                FOR UPDATE SKIP LOCKED
            );
            total_seats_released := total_seats_released
                + {{ schema }}.end_holds(v_show.show_id, v_locked_ids, 'expired');
            total_reservations_expired := total_reservations_expired + cardinality(v_locked_ids);
            reservation_ids := reservation_ids || v_locked_ids;
        END LOOP;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cleanup_expired_seat_reservations(integer) IS
'Ends at most p_batch_size holds that are over and frees their seats; skips what somebody holds '
'locked. Returns how many holds and seats, and which holds.';
