-- Runs of the cleanup, by any scheduler. pg_cron's own record also has runs that could not start.
CREATE TABLE {{ schema }}.reservation_cleanup_runs (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    scheduler text NOT NULL,
    backend_pid integer NOT NULL DEFAULT pg_backend_pid(),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    status text NOT NULL DEFAULT 'running',
    reservations_expired integer NOT NULL DEFAULT 0,
    seats_released integer NOT NULL DEFAULT 0,
    orders_cancelled integer NOT NULL DEFAULT 0,
    error_message text,
    CONSTRAINT reservation_cleanup_runs_pkey PRIMARY KEY (id),
    CONSTRAINT reservation_cleanup_runs_scheduler_check CHECK (length(scheduler) BETWEEN 1 AND 100),
    CONSTRAINT reservation_cleanup_runs_status_check
    CHECK (status IN ('running', 'succeeded', 'failed', 'skipped')),
    CONSTRAINT reservation_cleanup_runs_finished_at_check CHECK (
        (status = 'running') = (finished_at IS NULL) AND isfinite(finished_at)
    ),
    CONSTRAINT reservation_cleanup_runs_started_at_check CHECK (isfinite(started_at)),
    CONSTRAINT reservation_cleanup_runs_reservations_expired_check
    CHECK (reservations_expired >= 0),
    CONSTRAINT reservation_cleanup_runs_seats_released_check CHECK (seats_released >= 0),
    CONSTRAINT reservation_cleanup_runs_orders_cancelled_check CHECK (orders_cancelled >= 0)
);

CREATE INDEX reservation_cleanup_runs_finished_at_idx
ON {{ schema }}.reservation_cleanup_runs (finished_at);

-- A run that is stuck makes the others skip, once a minute and for days.
CREATE INDEX reservation_cleanup_runs_id_idx
ON {{ schema }}.reservation_cleanup_runs (id) WHERE status IN ('succeeded', 'failed');

COMMENT ON TABLE {{ schema }}.reservation_cleanup_runs IS
'Runs of run_reservation_cleanup(), kept for ticketing_settings.run_history_days.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.id IS 'Number of the run, ascending.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.scheduler IS
'Who started it: pg_cron, ticketdb, or external.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.backend_pid IS
'Server process of the run. If it is gone and the status is still running, the run has failed.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.started_at IS 'When it began.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.finished_at IS
'When it ended; NULL while it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.status IS
'running, succeeded, failed, or skipped, because another run was in progress.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.reservations_expired IS
'How many holds it has ended so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.seats_released IS
'How many seats it has freed so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.orders_cancelled IS
'How many orders of expired holds it has cancelled so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.error_message IS
'Why it failed or was skipped.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_pkey ON {{ schema }}.reservation_cleanup_runs IS
'Serves the newest runs, from its end.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_scheduler_check
ON {{ schema }}.reservation_cleanup_runs IS 'Not empty, at most 100 characters.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_status_check
ON {{ schema }}.reservation_cleanup_runs IS 'Only known statuses.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_finished_at_check
ON {{ schema }}.reservation_cleanup_runs IS 'Set exactly if it has ended.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_reservations_expired_check
ON {{ schema }}.reservation_cleanup_runs IS
'Not negative.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_seats_released_check
ON {{ schema }}.reservation_cleanup_runs IS
'Not negative.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_orders_cancelled_check
ON {{ schema }}.reservation_cleanup_runs IS
'Not negative.';
COMMENT ON INDEX {{ schema }}.reservation_cleanup_runs_finished_at_idx IS
'Serves the runs of a window, those that have not ended, and the purge.';
COMMENT ON INDEX {{ schema }}.reservation_cleanup_runs_id_idx IS
'Serves the last run that was not skipped.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_cleanup_runs TO {{ monitor_role }};
{% endif %}
