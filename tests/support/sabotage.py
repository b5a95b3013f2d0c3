"""Ways to break a database on purpose, for the controls of tests."""

from dataclasses import dataclass
from typing import Any

import psycopg

from tests.support.queries import Connection


@dataclass(frozen=True)
class Edit:
    """Other words in the body of a function."""

    function: str
    old: str
    new: str

    def __call__(self, dba: psycopg.Connection[Any]) -> None:
        ((body,),) = dba.execute("SELECT pg_get_functiondef(%s::regproc)", [self.function])
        assert body.count(self.old) == 1, f"this sabotage no longer fits {self.function}"
        dba.execute(body.replace(self.old, self.new))


def sabotage(connection: Connection, table: str, event: str) -> None:
    """Make each INSERT or UPDATE of this table fail, as nothing in the contract foresees."""
    connection.execute(
        "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM 1 / 0; RETURN NEW; END'"
    )
    connection.execute(
        f"CREATE TRIGGER sabotage AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION sabotage()"
    )
