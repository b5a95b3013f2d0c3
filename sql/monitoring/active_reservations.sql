-- Metric 6. A hold that is over is none, cleaned up or not.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.active_reservations AS
SELECT
    totals.active_reservations,
    totals.expiring_soon,
    totals.total_seats_held
FROM {{ internal_schema }}.active_reservation_totals() AS totals;

COMMENT ON VIEW {{ monitoring_schema }}.active_reservations IS
'Holds on seats right now: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.active_reservations IS
'Holds that are not over.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.expiring_soon IS
'Those that will be over within 2 minutes.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.total_seats_held IS
'Seats that they hold.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.active_reservations TO {{ monitor_role }};
{% endif %}
