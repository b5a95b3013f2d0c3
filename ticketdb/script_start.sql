-- ticketdb, to be run with psql: psql -X -v ON_ERROR_STOP=1 -f THIS_FILE DATABASE
\set ON_ERROR_STOP on
\o /dev/null
SET client_encoding = 'UTF8';
