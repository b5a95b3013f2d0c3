-- When it began, and what the jobs of pg_cron do, for any other scheduler.
SELECT now()::timestamptz(0);
CALL {{ schema }}.run_reservation_cleanup('ticketdb');
SELECT * FROM {{ schema }}.roll_up_metrics();
SELECT {{ schema }}.check_invariants()
WHERE NOT EXISTS (
    SELECT FROM {{ schema }}.invariant_checks AS c WHERE c.checked_at > now() - interval '10 minutes'
);
SELECT {{ schema }}.maintain_partitions();
SELECT {{ schema }}.purge_history()
