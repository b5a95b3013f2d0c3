-- For cleanup_job_health and the alerts. Counts the runs of a window and not the last few, among
-- which a run could be displaced by those that are skipped, or queued behind a long one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cleanup_run_totals(
    p_since timestamptz,
    OUT runs bigint,
    OUT failed_runs bigint,
    OUT skipped_runs bigint,
    OUT longest_run_seconds double precision,
    OUT last_start_time timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The estimates are guesses: JIT compilation would take longer than the query.
SET jit = off
AS $body$
BEGIN
    SELECT
        count(*) FILTER (WHERE run.status IN ('succeeded', 'failed')),
        count(*) FILTER (WHERE run.status = 'failed'),
        count(*) FILTER (WHERE run.status = 'skipped'),
        GREATEST(
            max(extract(EPOCH FROM COALESCE(run.end_time, now()) - run.start_time)), 0
        )::double precision,
        (
            array_agg(run.start_time ORDER BY run.ordinality) FILTER (
                WHERE run.status IN ('succeeded', 'failed') AND run.start_time IS NOT NULL
            )
        )[1]
    INTO
        runs,
        failed_runs,
        skipped_runs,
        longest_run_seconds,
        last_start_time
    FROM {{ internal_schema }}.reservation_cleanup_job_runs(NULL, p_since) WITH ORDINALITY AS run;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cleanup_run_totals(timestamptz) IS
'Totals of the cleanup runs that ended at or after p_since: those that were not skipped, those of '
'them that failed, those that were skipped, the seconds of the longest (a run in progress '
'included), and when the last of those that were not skipped began. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.cleanup_run_totals(
    timestamptz
) TO {{ monitor_role }};
{% endif %}
