-- Called by the accounts with a provider's list of what it has moved. Writes nothing.
CREATE OR REPLACE FUNCTION {{ schema }}.reconcile_payments(
    p_provider text,
    p_event_ids text[],
    p_amounts_in_cents bigint[],
    p_from timestamptz,
    p_until timestamptz
)
RETURNS TABLE (
    event_id text,
    difference text,
    amount_here_in_cents bigint,
    amount_there_in_cents bigint,
    order_ids uuid[]
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET jit = off
ROWS 10
AS $body$
BEGIN
    IF cardinality(p_event_ids) IS DISTINCT FROM cardinality(p_amounts_in_cents)
        OR array_position(p_event_ids, NULL) IS NOT NULL
        OR array_position(p_amounts_in_cents, NULL) IS NOT NULL
    THEN
        RAISE EXCEPTION 'p_event_ids and p_amounts_in_cents must have the same length, and no NULL'
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    WITH theirs AS MATERIALIZED (
        SELECT
            listed.event_id,
            sum(listed.amount_in_cents)::bigint AS amount_in_cents
        FROM unnest(p_event_ids, p_amounts_in_cents) AS listed (event_id, amount_in_cents)
        GROUP BY listed.event_id
    ),

    ours AS MATERIALIZED (
        SELECT
            came.event_id,
            sum(
                CASE
                    WHEN came.kind <> 'payment' THEN -came.amount_in_cents
                    ELSE GREATEST(came.amount_in_cents, 0)
                END
            )::bigint AS amount_in_cents,
            array_agg(DISTINCT came.order_id) AS order_ids
        FROM {{ schema }}.payment_events AS came
        WHERE
            came.provider = p_provider
            AND came.event_id = ANY(
                p_event_ids
                || ARRAY(
                    SELECT recent.event_id
                    FROM {{ schema }}.payment_events AS recent
                    WHERE
                        recent.created_at >= p_from
                        AND recent.created_at < p_until
                        AND recent.provider = p_provider
                )
            )
            AND came.kind <> 'failure'
        GROUP BY came.event_id
    )

    SELECT
        COALESCE(theirs.event_id, ours.event_id),
        CASE
            WHEN ours.event_id IS NULL THEN 'unknown here'
            WHEN theirs.event_id IS NULL THEN 'unknown there'
            ELSE 'amount differs'
        END,
        ours.amount_in_cents,
        theirs.amount_in_cents,
        COALESCE(ours.order_ids, '{}')
    FROM theirs
    FULL JOIN ours ON ours.event_id = theirs.event_id
    WHERE
        -- A provider does not list an event about no money.
        COALESCE(ours.amount_in_cents, 0) <> COALESCE(theirs.amount_in_cents, 0)
        OR ours.event_id IS NULL
    ORDER BY 1;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reconcile_payments(
    text, text[], bigint[], timestamptz, timestamptz
) IS
'Compares a provider''s list of events and amounts with payment_events: ours of an event are its '
'payments less its refunds and disputes, of all orders. Returns the events that differ: unknown '
'here, unknown there (ours from p_from until before p_until that are not in the list), amount '
'differs. Amounts are in the minor unit. Arrays of different lengths, or with NULLs, raise 22023.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reconcile_payments(
    text, text[], bigint[], timestamptz, timestamptz
) TO {{ box_office_role }};
{% endif %}
