"""Ways to break a database on purpose, for the controls of tests."""

from dataclasses import dataclass
from typing import Any

import psycopg


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
