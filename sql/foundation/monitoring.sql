-- The schema that Grafana, Datadog, Prometheus and Nagios read. The application writes nothing
-- here.
CREATE SCHEMA {{ monitoring_schema }};

COMMENT ON SCHEMA {{ monitoring_schema }} IS
'ticketdb: views for dashboards and alerts. Read-only, aggregated, free of personal data.';
