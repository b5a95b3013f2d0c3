-- Takes tickets back at the request of a buyer or of the house. The money is due from then on,
-- until record_refund(). Safe to repeat.
CREATE OR REPLACE FUNCTION {{ schema }}.cancel_tickets(
    p_show_id uuid,
    p_ticket_ids uuid[],
    p_staff text
)
RETURNS TABLE (
    success boolean,
    tickets_cancelled integer,
    refund_ids uuid[],
    amount_in_cents bigint,
    currency text,
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
    v_wanted constant integer := COALESCE(cardinality(p_ticket_ids), 0);
    v_order_ids uuid[];
    v_found record;
    v_is_explained boolean;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object(
        'staff', left(p_staff, 200), 'ticket_ids', p_ticket_ids[:100]
    );
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    IF COALESCE(p_staff, '') !~ '[^[:space:]]'
        OR length(p_staff) > 200
        OR v_wanted = 0
        OR (SELECT count(DISTINCT wanted.id) FROM unnest(p_ticket_ids) AS wanted (id)) < v_wanted
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            -- A ticket never changes its order, so this look-up needs no lock. With LIMIT, each is
            -- found by its key, even if the table was small when the plan was made.
            v_order_ids := ARRAY(
                SELECT DISTINCT named.order_id
                FROM unnest(p_ticket_ids) AS wanted (id)
                CROSS JOIN LATERAL (
                    SELECT ticket.order_id
                    FROM {{ schema }}.tickets AS ticket
                    WHERE
                        ticket.id = wanted.id
                        AND ticket.show_id = p_show_id
                    LIMIT 1
                ) AS named
            );
            PERFORM {{ internal_schema }}.lock_orders(p_show_id, v_order_ids);

            SELECT
                count(*) FILTER (WHERE named.status = 'valid') AS valid,
                count(*) FILTER (WHERE named.status = 'refunded') AS refunded,
                sum(named.price_in_cents) AS amount_in_cents,
                min(named.currency) AS currency
            INTO v_found
            FROM unnest(p_ticket_ids) AS wanted (id)
            CROSS JOIN LATERAL (
                SELECT ticket.*
                FROM {{ schema }}.tickets AS ticket
                WHERE
                    ticket.id = wanted.id
                    AND ticket.show_id = p_show_id
                LIMIT 1
            ) AS named;

            IF v_found.valid = v_wanted THEN
                SELECT
                    taken.refund_ids,
                    taken.amount_in_cents
                INTO
                    refund_ids,
                    amount_in_cents
                FROM {{ internal_schema }}.take_back_tickets(
                    p_show_id, v_order_ids, p_ticket_ids, 'tickets_cancelled', 'due', p_staff
                ) AS taken;
            ELSE
                -- The answer of an earlier call may have been lost: refunds of exactly these
                -- tickets are returned. Free tickets have none.
                SELECT
                    COALESCE(array_agg(refund.id ORDER BY refund.id), '{}'),
                    COALESCE(sum(refund.amount_in_cents), 0)::bigint,
                    COALESCE(bool_and(refund.ticket_ids <@ p_ticket_ids), true)
                INTO
                    refund_ids,
                    amount_in_cents,
                    v_is_explained
                FROM unnest(v_order_ids) AS mine (order_id)
                CROSS JOIN LATERAL (
                    SELECT owed.*
                    FROM {{ schema }}.refunds AS owed
                    WHERE
                        owed.order_id = mine.order_id
                        AND owed.show_id = p_show_id
                        AND owed.ticket_ids && p_ticket_ids
                    OFFSET 0
                ) AS refund;
                IF v_found.refunded < v_wanted
                    OR NOT v_is_explained
                    OR amount_in_cents <> v_found.amount_in_cents
                THEN
                    error_code := 'TICKETS_NOT_FOUND';
                END IF;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_wanted) THEN
                    error_code := 'BUSY';
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        tickets_cancelled := v_wanted;
        currency := v_found.currency;
    ELSE
        refund_ids := NULL;
        amount_in_cents := NULL;
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'cancel_tickets', error_code, error_message, p_show_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cancel_tickets(uuid, uuid[], text) IS
'Takes valid tickets of a show back, all or none: they are refunded, their seats are available, or '
'blocked where a ticket was checked in, and each order gets a row of refunds, which is due. '
'Repeated with the same tickets, returns these refunds again. Error codes: TICKETS_NOT_FOUND '
'(unknown, or not valid), INVALID_INPUT (also a blank p_staff), BUSY (after 2 s; try again), '
'INTERNAL_ERROR. Amounts are in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.cancel_tickets(uuid, uuid[], text) TO {{ box_office_role }};
{% endif %}
