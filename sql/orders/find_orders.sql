-- For a webhook, or a line of a bank's statement, that names no order.
CREATE OR REPLACE FUNCTION {{ schema }}.find_orders(
    p_payment_provider text,
    p_payment_intent_id text
)
RETURNS TABLE (
    order_id uuid,
    show_id uuid,
    reservation_id uuid,
    status text,
    total_amount_in_cents bigint,
    currency text,
    refunded_amount_in_cents bigint,
    payment_provider text,
    payment_intent_id text,
    cancel_reason text,
    error_message text,
    ticket_count integer,
    created_at timestamptz,
    paid_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
DECLARE
    v_providers text[] := ARRAY[p_payment_provider];
    v_show_ids uuid[];
    v_ids uuid[];
BEGIN
    IF p_payment_provider IS NULL THEN
        -- Events are found by their provider first. There are few: each is read from the index
        -- behind the one before.
        WITH RECURSIVE known AS (
            SELECT min(event.provider) AS provider
            FROM {{ schema }}.payment_events AS event
            UNION ALL
            SELECT
                (
                    SELECT min(event.provider)
                    FROM {{ schema }}.payment_events AS event
                    WHERE event.provider > known.provider
                )
            FROM known
            WHERE known.provider IS NOT NULL
        )

        SELECT array_agg(known.provider)
        INTO v_providers
        FROM known;
    END IF;

    SELECT
        array_agg(found.show_id),
        array_agg(found.id)
    INTO
        v_show_ids,
        v_ids
    FROM (
        SELECT
            named.show_id,
            named.id
        FROM {{ schema }}.ticket_orders AS named
        WHERE
            named.payment_intent_id = p_payment_intent_id
            -- A payment whose provider the shop did not name may be of any.
            AND COALESCE(named.payment_provider = p_payment_provider, true)
        UNION
        SELECT
            earlier.show_id,
            earlier.order_id
        FROM {{ internal_schema }}.payment_intents AS earlier
        WHERE
            earlier.payment_intent_id = p_payment_intent_id
            AND COALESCE(
                NULLIF(earlier.payment_provider, '') = p_payment_provider, true
            )
        UNION
        SELECT
            event.show_id,
            event.order_id
        FROM {{ schema }}.payment_events AS event
        WHERE
            event.provider = ANY(v_providers)
            AND event.event_id = p_payment_intent_id
    ) AS found;

    RETURN QUERY
    SELECT details.*
    FROM {{ internal_schema }}.order_details(v_show_ids, v_ids) AS details;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.find_orders(text, text) IS
'The orders that a payment is about, oldest first, as get_order() returns them: those that name '
'it, or have named it before, and those that have an event with this id. A provider of NULL means '
'any. Raises lock_not_available if a table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.find_orders(text, text)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
