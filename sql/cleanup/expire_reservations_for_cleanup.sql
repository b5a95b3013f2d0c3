-- One step of the cleanup. Skips a hold that is locked, or has a locked seat, and leaves it for the
-- next run: it never waits while it has other holds locked, unlike expire_reservations_for_buyer().
-- Returns an error instead of raising it, and only for the hold that caused it.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.expire_reservations_for_cleanup(
    p_show_id uuid,
    p_reservation_ids uuid[],
    OUT ended_ids uuid[],
    OUT seats_released integer,
    OUT error_code text,
    OUT error_message text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Otherwise each call would be planned anew, for the present length of its arrays.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
-- Locked holds and seats are skipped. What remains to wait for is a claim or a table that a DBA has
-- locked.
SET lock_timeout = '100ms'
AS $body$
DECLARE
    v_ids uuid[] := p_reservation_ids;
    v_seat_ids uuid[];
    v_locked_seat_ids uuid[];
    v_half record;
BEGIN
    ended_ids := '{}';
    seats_released := 0;
    WHILE v_ids <> '{}' LOOP
        BEGIN
            v_ids := ARRAY(
                SELECT hold.id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = ANY(v_ids)
                    AND hold.ended_at IS NULL
                    AND hold.expires_at <= now()
                ORDER BY hold.id
                FOR UPDATE SKIP LOCKED
            );
            -- FILTER instead of WHERE, so that claims are found by their reservation.
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_seat_ids
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = ANY(v_ids)
                AND claim.show_id = p_show_id;
            v_locked_seat_ids := ARRAY(
                SELECT seat.id
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(v_seat_ids)
                ORDER BY seat.id
                FOR UPDATE SKIP LOCKED
            );
            IF cardinality(v_locked_seat_ids) = cardinality(v_seat_ids) THEN
                seats_released := {{ internal_schema }}.end_reservations(
                    p_show_id, v_ids, 'expired'
                );
                ended_ids := v_ids;
                RETURN;
            END IF;

            v_ids := ARRAY(
                SELECT claim.reservation_id
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = ANY(v_ids)
                    AND claim.show_id = p_show_id
                GROUP BY claim.reservation_id
                HAVING
                    bool_and(
                        claim.released_at IS NOT NULL
                        OR claim.show_seat_id = ANY(v_locked_seat_ids)
                    )
            );
            -- Releases all locks, including those on the holds that are skipped.
            RAISE EXCEPTION 'some of the seats are locked' USING ERRCODE = 'TDB01';
        EXCEPTION
            WHEN SQLSTATE 'TDB01' THEN
                NULL;
            -- OTHERS does not include query_canceled: a cancelled statement, or its time-out.
            WHEN query_canceled OR OTHERS THEN
                IF SQLSTATE IN ('57014', '40001') OR cardinality(v_ids) = 1 THEN
                    IF SQLSTATE NOT IN ('55P03', '40P01') THEN
                        error_code := SQLSTATE;
                        error_message := SQLERRM;
                    END IF;
                    RETURN;
                END IF;
                -- An error in one hold must not stop the others: try each half on its own.
                FOR v_half IN
                    SELECT half.*
                    FROM
                        (
                            VALUES
                            (v_ids[:cardinality(v_ids) / 2]),
                            (v_ids[cardinality(v_ids) / 2 + 1:])
                        ) AS halves (ids)
                    CROSS JOIN LATERAL {{ internal_schema }}.expire_reservations_for_cleanup(
                        p_show_id, halves.ids
                    ) AS half
                LOOP
                    ended_ids := ended_ids || v_half.ended_ids;
                    seats_released := seats_released + v_half.seats_released;
                    error_code := COALESCE(error_code, v_half.error_code);
                    error_message := COALESCE(error_message, v_half.error_message);
                END LOOP;
                RETURN;
        END;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.expire_reservations_for_cleanup(uuid, uuid[]) IS
'Ends those of these reservations of a show that are overdue and not locked, seats included, and '
'frees their seats. Returns which, how many seats, and the SQLSTATE and message of the first '
'error.';
