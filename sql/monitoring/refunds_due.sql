-- Money without a home: what came and bought nothing, or was taken back, and has not been given
-- back yet. Currencies are never added up. A row says so when nothing is due.
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
'Money that is to be given back, by reason and currency.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.reason IS
'Why, as in refunds; none when nothing is due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.currency IS
'ISO 4217 code; none when nothing is due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.refunds IS 'How many refunds are due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.amount IS
'How much together, in the major unit: euros of EUR, yen of JPY.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.oldest_age_seconds IS
'For how many seconds the oldest has been due.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.refunds_due TO {{ monitor_role }};
{% endif %}
