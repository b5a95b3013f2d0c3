-- Who stands in whose way, in one row: sessions that wait, and transactions that others may come to
-- wait for. Of this database.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.lock_waits AS
WITH transactions AS (
    SELECT
        count(*) AS open_transactions,
        COALESCE(max(transaction.age_seconds), 0) AS oldest_transaction_seconds,
        count(transaction.idle_seconds) AS idle_in_transaction,
        COALESCE(max(transaction.idle_seconds), 0) AS longest_idle_seconds,
        count(*) FILTER (WHERE transaction.state = 'prepared') AS prepared_transactions,
        COALESCE(
            max(transaction.age_seconds) FILTER (WHERE transaction.state = 'prepared'), 0
        ) AS oldest_prepared_seconds
    FROM {{ internal_schema }}.open_transactions() AS transaction
    WHERE transaction.is_here
)

SELECT
    locks.waiting_sessions,
    locks.longest_wait_seconds,
    transactions.open_transactions,
    transactions.oldest_transaction_seconds,
    transactions.idle_in_transaction,
    transactions.longest_idle_seconds,
    transactions.prepared_transactions,
    transactions.oldest_prepared_seconds
FROM {{ internal_schema }}.lock_wait_totals() AS locks
CROSS JOIN transactions;

COMMENT ON VIEW {{ monitoring_schema }}.lock_waits IS
'Sessions of this database that wait for a lock, and transactions that are open: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.waiting_sessions IS
'Sessions that wait for a lock.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.longest_wait_seconds IS
'For how many seconds the longest of them has waited; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.open_transactions IS
'Transactions that are open, prepared ones included, ours and those of autovacuum left out. Of '
'other roles only where the owner of ticketdb has pg_read_all_stats.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.oldest_transaction_seconds IS
'For how many seconds the oldest of them has been open; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.idle_in_transaction IS
'Those of them whose session does nothing.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.longest_idle_seconds IS
'For how many seconds the longest of those has done nothing; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.prepared_transactions IS
'Those that are prepared and wait for COMMIT PREPARED, with no session that would end them.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.oldest_prepared_seconds IS
'For how many seconds the oldest of those has been prepared; 0 without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.lock_waits TO {{ monitor_role }};
{% endif %}
