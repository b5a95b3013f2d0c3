-- ticketdb {{ package_version }}: what `ticketdb apply` does from revision {{ start }} to {{ target }}.
-- To be run with psql:
--     psql -X -v ON_ERROR_STOP=1 -f THIS_FILE DATABASE
-- It looks first whether this is the role, the server and the database that it is for. Where it was interrupted,
-- another one has to go on: `ticketdb script --from` the revision that was reached.
\set ON_ERROR_STOP on
\set AUTOCOMMIT on
\o /dev/null
SET client_encoding = 'UTF8';
