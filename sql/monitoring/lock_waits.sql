-- Sessions that wait for locks, and transactions that others may have to wait for, in this
-- database.
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
'Lock waits and open transactions of this database: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.waiting_sessions IS
'Sessions that wait for a lock.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.longest_wait_seconds IS
'Longest of these waits in seconds; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.open_transactions IS
'Open transactions, including prepared ones, without those of this session and of autovacuum. '
'Those of other roles are included only if the owner of ticketdb has pg_read_all_stats.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.oldest_transaction_seconds IS
'Age of the oldest open transaction in seconds; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.idle_in_transaction IS
'Open transactions whose session is idle.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.longest_idle_seconds IS
'Longest time for which one of these has been idle, in seconds; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.prepared_transactions IS
'Prepared transactions, which stay open until COMMIT PREPARED or ROLLBACK PREPARED: no session '
'will end them.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.oldest_prepared_seconds IS
'Age of the oldest prepared transaction in seconds; 0 without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.lock_waits TO {{ monitor_role }};
{% endif %}
