-- 0007: Exact rollups of the logs.
-- A template, frozen by `ticketdb revision`.

-- drop: monitoring/last_invariant_check.sql
DROP TABLE {{ internal_schema }}.last_invariant_check;

-- drop: monitoring/current_violations.sql
DROP ROUTINE {{ internal_schema }}.current_violations;

-- drop: rollup/get_reservation_statistics.sql
DROP ROUTINE {{ schema }}.get_reservation_statistics;

-- drop: rollup/extension_metrics.sql
DROP ROUTINE {{ internal_schema }}.extension_metrics;

-- drop: rollup/error_metrics.sql
DROP ROUTINE {{ internal_schema }}.error_metrics;

-- drop: rollup/api_durations.sql
DROP ROUTINE {{ internal_schema }}.api_durations;

-- drop: rollup/api_metrics.sql
DROP ROUTINE {{ internal_schema }}.api_metrics;

-- drop: rollup/order_metrics.sql
DROP ROUTINE {{ internal_schema }}.order_metrics;

-- drop: rollup/reservation_metrics.sql
DROP ROUTINE {{ internal_schema }}.reservation_metrics;

-- drop: rollup/roll_up_metrics.sql
DROP ROUTINE {{ schema }}.roll_up_metrics;

-- drop: rollup/adopt_restored_log.sql
DROP ROUTINE {{ internal_schema }}.adopt_restored_log;

-- drop: rollup/fold_events.sql
DROP ROUTINE {{ internal_schema }}.fold_events;

-- drop: rollup/fold_api_request_events.sql
DROP ROUTINE {{ internal_schema }}.fold_api_request_events;

-- drop: rollup/fold_order_events.sql
DROP ROUTINE {{ internal_schema }}.fold_order_events;

-- drop: rollup/fold_reservation_events.sql
DROP ROUTINE {{ internal_schema }}.fold_reservation_events;

-- drop: rollup/merge_minor_endpoints.sql
DROP ROUTINE {{ internal_schema }}.merge_minor_endpoints;

-- drop: rollup/api_request_events.sql
DROP ROUTINE {{ internal_schema }}.api_request_events;

-- drop: rollup/order_events.sql
DROP ROUTINE {{ internal_schema }}.order_events;

-- drop: rollup/extension_events.sql
DROP ROUTINE {{ internal_schema }}.extension_events;

-- drop: rollup/error_events.sql
DROP ROUTINE {{ internal_schema }}.error_events;

-- drop: rollup/reservation_events.sql
DROP ROUTINE {{ internal_schema }}.reservation_events;

-- drop: rollup/log_tail.sql
DROP ROUTINE {{ internal_schema }}.log_tail;

-- drop: rollup/is_restored_log.sql
DROP ROUTINE {{ internal_schema }}.is_restored_log;

-- drop: rollup/next_range.sql
DROP ROUTINE {{ internal_schema }}.next_range;

-- drop: rollup/next_xact_id.sql
DROP ROUTINE {{ internal_schema }}.next_xact_id;

-- drop: rollup/window_start.sql
DROP ROUTINE {{ internal_schema }}.window_start;

-- drop: rollup/endpoint_limit.sql
DROP ROUTINE {{ internal_schema }}.endpoint_limit;

-- drop: rollup/duration_bucket_growth.sql
DROP ROUTINE {{ internal_schema }}.duration_bucket_growth;

-- drop: rollup/metric_watermarks.sql
DROP TABLE {{ internal_schema }}.metric_watermarks;

-- drop: rollup/system_identifier.sql
DROP ROUTINE {{ internal_schema }}.system_identifier;

-- drop: rollup/api_duration_minutes.sql
DROP TABLE {{ internal_schema }}.api_duration_minutes;

-- drop: rollup/api_request_minutes.sql
DROP TABLE {{ internal_schema }}.api_request_minutes;

-- drop: rollup/order_minutes.sql
DROP TABLE {{ internal_schema }}.order_minutes;

-- drop: rollup/extension_quarters.sql
DROP TABLE {{ internal_schema }}.extension_quarters;

-- drop: rollup/extended_reservations.sql
DROP TABLE {{ internal_schema }}.extended_reservations;

-- drop: rollup/error_minutes.sql
DROP TABLE {{ internal_schema }}.error_minutes;

-- drop: rollup/reservation_minutes_by_show.sql
DROP TABLE {{ internal_schema }}.reservation_minutes_by_show;

-- drop: rollup/reservation_minutes_all.sql
DROP TABLE {{ internal_schema }}.reservation_minutes_all;

-- drop: rollup/reservation_minutes.sql
DROP TABLE {{ internal_schema }}.reservation_minutes;
