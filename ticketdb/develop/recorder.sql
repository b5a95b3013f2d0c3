-- An event trigger that records which query has created which object.
CREATE SCHEMA recorder;
CREATE TABLE recorder.made (
    number integer GENERATED ALWAYS AS IDENTITY, class_id oid, object_id oid, query text
);
CREATE FUNCTION recorder.note() RETURNS event_trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO recorder.made (class_id, object_id, query)
    SELECT c.classid, c.objid, btrim(current_query(), E' \n')
    FROM pg_event_trigger_ddl_commands() AS c
    WHERE c.command_tag LIKE 'CREATE %';
END;
$body$;
CREATE EVENT TRIGGER recorder ON ddl_command_end EXECUTE FUNCTION recorder.note();
