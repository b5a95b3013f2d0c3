-- Dashboard 3, connections of clients to the server. Every state has its row.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.connection_pool AS
WITH server AS (
    SELECT current_setting('max_connections')::bigint AS max_connections
)

SELECT
    pool.state,
    pool.connections,
    server.max_connections,
    100.0::double precision * pool.connections / server.max_connections AS used_pct
FROM {{ internal_schema }}.connections_by_state() AS pool
CROSS JOIN server;

COMMENT ON VIEW {{ monitoring_schema }}.connection_pool IS
'Connections to the server by state.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.state IS
'active, idle, idle in transaction, idle in transaction (aborted), other, or not visible: the '
'owner of ticketdb needs pg_read_all_stats for those.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.connections IS
'Connections of clients in this state.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.max_connections IS
'How many connections the server accepts.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.used_pct IS
'The connections in percent of that.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.connection_pool TO {{ monitor_role }};
{% endif %}
