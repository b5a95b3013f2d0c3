"""Functions that others may call besides the application."""

# A default and a check of tables call these, as the role that inserts a show.
FOR_ANYBODY = {"uuid_v7", "is_time_zone"}
# Functions of a view run as the role that reads it.
BEHIND_VIEWS = {
    "reservation_cleanup_job_runs",
    "active_reservation_totals",
    "overdue_hold_totals",
    "cleanup_job_state",
    "cleanup_job_problem",
    "cleanup_run_totals",
    "maintenance_backlog",
    "connections_by_state",
    "open_transactions",
    "lock_wait_totals",
    "due_refunds",
    "partial_refunds",
    "endpoint_limit",
    "log_partitions",
    "rollup_state",
    "is_restored_log",
    "duration_bucket_growth",
    "window_start",
    "reservation_metrics",
    "order_metrics",
    "api_durations",
    "api_metrics",
    "error_metrics",
    "extension_metrics",
}
