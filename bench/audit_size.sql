-- Bytes on disk for each event of the audit log of holds, indexes included.
SELECT
    sum(pg_total_relation_size(part.relid))
    / (SELECT count(*) FROM public.seat_reservation_audit_log)
FROM pg_partition_tree('public.seat_reservation_audit_log') AS part;
