-- Used by active_reservations and realtime_dashboard. A function, so that it has planner settings
-- of its own: live holds are few in a large table, and statistics gathered on a quiet night lead to
-- slow plans.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.active_reservation_totals(
    OUT active_reservations bigint,
    OUT expiring_soon bigint,
    OUT total_seats_held bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
BEGIN
    SELECT
        count(*),
        count(*) FILTER (WHERE hold.expires_at < now() + interval '2 minutes'),
        COALESCE(sum(claims.seats), 0)::bigint
    INTO
        active_reservations,
        expiring_soon,
        total_seats_held
    FROM {{ schema }}.seat_reservations AS hold
    CROSS JOIN LATERAL (
        -- FILTER, not WHERE, so that claims are found by reservation, and not by the index of all
        -- live claims.
        SELECT count(*) FILTER (WHERE claim.released_at IS NULL) AS seats
        FROM {{ schema }}.reservation_seats AS claim
        WHERE
            claim.reservation_id = hold.id
            AND claim.show_id = hold.show_id
    ) AS claims
    WHERE
        hold.is_active
        AND hold.expires_at > now();
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.active_reservation_totals() IS
'Number of live holds, of those that will be overdue within two minutes, and of the seats they '
'hold. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.active_reservation_totals() TO {{ monitor_role }};
{% endif %}
