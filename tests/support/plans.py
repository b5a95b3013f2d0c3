"""How statements were run, those inside functions included: auto_explain, for one connection."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from tests.support.queries import Connection


@dataclass(frozen=True)
class Plan:
    """One statement that was run, and how: what auto_explain says."""

    query: str
    root: dict[str, Any]

    @property
    def nodes(self) -> list[dict[str, Any]]:
        found, todo = [], [self.root]
        while todo:
            node = todo.pop()
            found.append(node)
            todo.extend(node.get("Plans", []))
        return found

    @property
    def buffers(self) -> int:
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])

    @property
    def relations(self) -> set[str]:
        return {node["Relation Name"] for node in self.nodes if "Relation Name" in node}


@contextmanager
def explained(connection: Connection) -> Iterator[list[Plan]]:
    """Collect the plans of everything run in the block, statements inside functions included."""
    plans: list[Plan] = []

    def collect(notice: psycopg.errors.Diagnostic) -> None:
        text = notice.message_primary or ""
        if "plan:\n" in text:
            document = json.loads(text.partition("plan:\n")[2])
            plans.append(Plan(document["Query Text"], document["Plan"]))

    settings = {
        "log_min_duration": "0",
        "log_nested_statements": "on",
        "log_analyze": "on",
        "log_buffers": "on",
        "log_timing": "off",
        "log_format": "json",
        "log_level": "notice",
    }
    connection.execute("LOAD 'auto_explain'")
    connection.add_notice_handler(collect)
    for name, value in settings.items():
        connection.execute(
            sql.SQL("SET auto_explain.{} = {}").format(sql.Identifier(name), sql.Literal(value))
        )
    plans.clear()  # those of the settings themselves
    yield plans
    connection.remove_notice_handler(collect)
    connection.execute("SET auto_explain.log_min_duration = -1")


def rows_looked_at(node: dict[str, Any]) -> int:
    removed = [field for field in node if field.startswith("Rows Removed by")]
    rows = int(node["Actual Rows"]) + sum(int(node[field]) for field in removed)
    return rows * int(node["Actual Loops"])


# What the planner knows when a backlog has come about: a sale fills empty tables within minutes,
# and only autovacuum updates its statistics.
STATISTICS = ["none", "of the empty tables", "up to date"]
