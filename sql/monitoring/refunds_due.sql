-- Money that bought no tickets, or whose tickets were taken back, and that has not been paid back
-- yet. Currencies are never added up. If nothing is due, there is one row with the reason none.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.refunds_due AS
SELECT
    COALESCE(due.reason, 'none') AS reason,
    COALESCE(due.currency, 'none') AS currency,
    COALESCE(due.refunds, 0) AS refunds,
    COALESCE(
        due.amount_in_cents / power(10::double precision, COALESCE(currency.decimals, 2)), 0
    ) AS amount,
    COALESCE(due.oldest_age_seconds, 0) AS oldest_age_seconds
FROM (VALUES (1)) AS always (is_there) -- noqa: ST11
LEFT JOIN {{ internal_schema }}.due_refunds() AS due ON true
LEFT JOIN {{ schema }}.currencies AS currency ON currency.code = due.currency;

COMMENT ON VIEW {{ monitoring_schema }}.refunds_due IS
'Refunds that are due, by reason and currency.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.reason IS
'Reason, as in refunds; none if nothing is due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.currency IS
'ISO 4217 code; none if nothing is due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.refunds IS 'Number of refunds due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.amount IS
'Sum of the refunds due, in the major unit: euros of EUR, yen of JPY.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.oldest_age_seconds IS
'Seconds for which the oldest has been due; 0 if nothing is due.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.refunds_due TO {{ monitor_role }};
{% endif %}
