-- The schema that Grafana, Datadog, Prometheus and Nagios read. Nothing in it is ever written by
-- the application.
CREATE SCHEMA {{ monitoring_schema }};

COMMENT ON SCHEMA {{ monitoring_schema }} IS
'ticketdb: views for dashboards and alerts. Read-only, aggregated, free of personal data.';
