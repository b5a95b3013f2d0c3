-- ticketdb {{ package_version }}: what `ticketdb apply` does from revision {{ start }} to {{ target }}.
-- Run it with psql:
--     psql -X -v ON_ERROR_STOP=1 -f THIS_FILE DATABASE
-- It first checks that this is the role, the server and the database that it is for. After an interruption, continue
-- with another script: `ticketdb script --from` the revision that was reached.
\set ON_ERROR_STOP on
\set AUTOCOMMIT on
\o /dev/null
SET client_encoding = 'UTF8';
