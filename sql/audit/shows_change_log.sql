-- Few rows, only changed by hand: every change is logged.
CREATE OR REPLACE TRIGGER shows_change_log_insert
AFTER INSERT ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id');

CREATE OR REPLACE TRIGGER shows_change_log_update
AFTER UPDATE ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id');

CREATE OR REPLACE TRIGGER shows_change_log_delete
AFTER DELETE ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id');

ALTER TABLE {{ schema }}.shows
ENABLE ALWAYS TRIGGER shows_change_log_insert,
ENABLE ALWAYS TRIGGER shows_change_log_update,
ENABLE ALWAYS TRIGGER shows_change_log_delete;

COMMENT ON TRIGGER shows_change_log_insert ON {{ schema }}.shows IS
'Logs each show that is added.';
COMMENT ON TRIGGER shows_change_log_update ON {{ schema }}.shows IS
'Logs each change of a show.';
COMMENT ON TRIGGER shows_change_log_delete ON {{ schema }}.shows IS
'Logs each show that is deleted, which is possible only while nothing refers to it.';
