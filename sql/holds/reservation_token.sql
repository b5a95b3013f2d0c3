-- A domain, and not a CHECK of the table, for the reason that event_type has. A regular expression
-- would take 5 % of a hold.
CREATE DOMAIN {{ internal_schema }}.reservation_token AS text
CONSTRAINT reservation_token_check
CHECK (length(value) = 64 AND translate(value, '0123456789abcdef', '') = '');

COMMENT ON DOMAIN {{ internal_schema }}.reservation_token IS
'64 hexadecimal digits: the id of a show, and 122 random bits.';
