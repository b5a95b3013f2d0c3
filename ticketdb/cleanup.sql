-- What the jobs of pg_cron do, for any other scheduler, and at last when the cleanup began.
CALL {{ schema }}.run_reservation_cleanup('ticketdb');
SELECT * FROM {{ schema }}.roll_up_metrics();
SELECT {{ schema }}.check_invariants()
WHERE NOT EXISTS (
    SELECT FROM {{ schema }}.invariant_checks AS c WHERE c.checked_at > now() - interval '10 minutes'
);
SELECT {{ schema }}.maintain_partitions();
SELECT {{ schema }}.purge_history();
SELECT r.started_at::timestamptz(0)
FROM {{ schema }}.reservation_cleanup_runs AS r
WHERE r.id = %(run_id)s
