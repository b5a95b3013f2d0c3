-- 0010: Exact rollups of the logs.
-- A template, frozen by `ticketdb revision`.

-- drop: functions/get_reservation_statistics.sql
DROP ROUTINE {{ schema }}.get_reservation_statistics;

-- drop: functions/extension_metrics.sql
DROP ROUTINE {{ schema }}.extension_metrics;

-- drop: functions/error_metrics.sql
DROP ROUTINE {{ schema }}.error_metrics;

-- drop: functions/api_durations.sql
DROP ROUTINE {{ schema }}.api_durations;

-- drop: functions/api_metrics.sql
DROP ROUTINE {{ schema }}.api_metrics;

-- drop: functions/order_metrics.sql
DROP ROUTINE {{ schema }}.order_metrics;

-- drop: functions/reservation_metrics.sql
DROP ROUTINE {{ schema }}.reservation_metrics;

-- drop: functions/roll_up_metrics.sql
DROP ROUTINE {{ schema }}.roll_up_metrics;

-- drop: functions/adopt_restored_log.sql
DROP ROUTINE {{ schema }}.adopt_restored_log;

-- drop: functions/fold_events.sql
DROP ROUTINE {{ schema }}.fold_events;

-- drop: functions/fold_api_request_events.sql
DROP ROUTINE {{ schema }}.fold_api_request_events;

-- drop: functions/fold_order_events.sql
DROP ROUTINE {{ schema }}.fold_order_events;

-- drop: functions/fold_reservation_events.sql
DROP ROUTINE {{ schema }}.fold_reservation_events;

-- drop: functions/merge_minor_endpoints.sql
DROP ROUTINE {{ schema }}.merge_minor_endpoints;

-- drop: functions/api_request_events.sql
DROP ROUTINE {{ schema }}.api_request_events;

-- drop: functions/order_events.sql
DROP ROUTINE {{ schema }}.order_events;

-- drop: functions/extension_events.sql
DROP ROUTINE {{ schema }}.extension_events;

-- drop: functions/error_events.sql
DROP ROUTINE {{ schema }}.error_events;

-- drop: functions/reservation_events.sql
DROP ROUTINE {{ schema }}.reservation_events;

-- drop: functions/log_tail.sql
DROP ROUTINE {{ schema }}.log_tail;

-- drop: functions/is_restored_log.sql
DROP ROUTINE {{ schema }}.is_restored_log;

-- drop: functions/nth_xact_id.sql
DROP ROUTINE {{ schema }}.nth_xact_id;

-- drop: functions/next_xact_id.sql
DROP ROUTINE {{ schema }}.next_xact_id;

-- drop: functions/window_start.sql
DROP ROUTINE {{ schema }}.window_start;

-- drop: functions/endpoint_limit.sql
DROP ROUTINE {{ schema }}.endpoint_limit;

-- drop: functions/duration_bucket_growth.sql
DROP ROUTINE {{ schema }}.duration_bucket_growth;

-- drop: tables/metric_watermarks.sql
DROP TABLE {{ schema }}.metric_watermarks;

-- drop: functions/system_identifier.sql
DROP ROUTINE {{ schema }}.system_identifier;

-- drop: tables/api_duration_minutes.sql
DROP TABLE {{ schema }}.api_duration_minutes;

-- drop: tables/api_request_minutes.sql
DROP TABLE {{ schema }}.api_request_minutes;

-- drop: tables/order_minutes.sql
DROP TABLE {{ schema }}.order_minutes;

-- drop: tables/extension_quarters.sql
DROP TABLE {{ schema }}.extension_quarters;

-- drop: tables/extended_reservations.sql
DROP TABLE {{ schema }}.extended_reservations;

-- drop: tables/error_minutes.sql
DROP TABLE {{ schema }}.error_minutes;

-- drop: tables/error_messages.sql
DROP TABLE {{ schema }}.error_messages;

-- drop: tables/reservation_show_minutes.sql
DROP TABLE {{ schema }}.reservation_show_minutes;

-- drop: tables/reservation_minutes.sql
DROP TABLE {{ schema }}.reservation_minutes;
