-- 0005: Append-only logs in monthly partitions.
-- A template, frozen by `ticketdb revision`.

-- drop: functions/purge_personal_data.sql
DROP ROUTINE {{ schema }}.purge_personal_data;

-- drop: functions/purge_run_history.sql
DROP ROUTINE {{ schema }}.purge_run_history;

-- drop: functions/purge_rollups.sql
DROP ROUTINE {{ schema }}.purge_rollups;

-- drop: functions/log_api_request.sql
DROP ROUTINE {{ schema }}.log_api_request;

-- drop: jobs/first_partitions.sql
-- Partitions go with their tables.

-- drop: functions/maintain_partitions.sql
DROP ROUTINE {{ schema }}.maintain_partitions;

-- drop: functions/create_log_partition.sql
DROP ROUTINE {{ schema }}.create_log_partition;

-- drop: functions/log_horizon.sql
DROP ROUTINE {{ schema }}.log_horizon;

-- drop: functions/partitioned_logs.sql
DROP ROUTINE {{ schema }}.partitioned_logs;

-- drop: tables/change_log.sql
DROP TABLE {{ schema }}.change_log;

-- drop: tables/api_request_log.sql
DROP TABLE {{ schema }}.api_request_log;

-- drop: tables/ticket_order_audit_log.sql
DROP TABLE {{ schema }}.ticket_order_audit_log;

-- drop: tables/seat_reservation_audit_log.sql
DROP TABLE {{ schema }}.seat_reservation_audit_log;
