-- The time of the start, then what pg_cron's jobs run: for servers without pg_cron.
SELECT now()::timestamptz(0);
CALL {{ schema }}.run_reservation_cleanup('ticketdb');
SELECT * FROM {{ schema }}.roll_up_metrics();
SELECT {{ internal_schema }}.check_invariants()
WHERE NOT EXISTS (
    SELECT FROM {{ internal_schema }}.last_invariant_check AS c WHERE c.checked_at > now() - interval '10 minutes'
);
SELECT {{ schema }}.maintain_partitions();
SELECT {{ schema }}.purge_history()
