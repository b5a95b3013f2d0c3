"""Pages about the database: tables, functions, views, alert rules."""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from psycopg import sql

from ticketdb.config import Variables
from ticketdb.database import Connection, Row, query
from ticketdb.develop.reference.markdown import block, code, grid, page, prose, section

Part = dict[str, Any]  # of a relation or a routine: a column, a constraint, an index, an argument

# What a name says of the unit of a metric, by how it ends.
UNITS = {
    "milliseconds": "ms",
    "seconds": "s",
    "minutes": "min",
    "pct": "%",
    "cents": "minor unit of the currency",
}
SECTIONS = {
    "application": ("Application", "What a shop calls to sell, and to report on itself."),
    "box office": ("Box office", "What the staff calls, at the counter and at the gates."),
    "operation": (
        "Operation",
        "Maintenance: jobs call these, and the owner may call them by hand.",
    ),
}
# A literal in the body of a function that sells; not where another variable gets it, for a log.
ERROR_CODE = re.compile(r"'([A-Z]+(?:_[A-Z]+)*)'")
OTHER_ASSIGNMENT = re.compile(r"\bv_\w+ := .*?;", re.DOTALL)


def read_relations(connection: Connection, variables: Variables) -> list[Row]:
    return query(connection, "develop/reference/relations.sql", variables)


def tables(connection: Connection, variables: Variables) -> str:
    found = [row for row in read_relations(connection, variables) if not row.is_view]
    return page(
        "Tables",
        "What ticketdb keeps. The application reads and writes them through functions; the roles "
        "that may read a column directly stand beside it.",
        section("How they refer to each other", block("mermaid", "\n".join(_diagram(found)))),
        *(_table(row, variables) for row in found),
    )


def _table(row: Row, variables: Variables) -> str:
    def definitions(title: str, entries: Iterable[Part]) -> str:
        cells = [[code(e["name"]), code(e["definition"]), prose(e["comment"])] for e in entries]
        return grid([title, "definition", "what it is for"], cells) if cells else ""

    columns = (
        [
            code(column["name"]),
            code(column["type"]) + ("" if column["not_null"] else ", may be NULL"),
            "identity" if column["is_identity"] else default(column),
            ", ".join(map(code, column["readers"])),
            prose(column["comment"]),
        ]
        for column in row.columns
    )
    return section(
        _name(row, variables),
        prose(row.comment) + "\n",
        f"Partitioned by {code(row.partition_key)}.\n" if row.partition_key else "",
        grid(["column", "type", "default", "readable by", "what it is"], columns),
        definitions("key", (c for c in row.constraints if c["kind"] != "c")),
        definitions("check", (c for c in row.constraints if c["kind"] == "c")),
        definitions("index", row.indexes),
    )


def _name(row: Row, variables: Variables) -> str:
    return row.name if row.schema == variables.schema else f"{row.schema}.{row.name}"


def default(part: Part) -> str:
    """The default of a column or an argument, without the cast that PostgreSQL adds to it."""
    generated = "generated: " if part.get("is_generated") else ""
    return generated + code(re.sub(r"::[a-z ]+$", "", part["default"] or ""))


def _diagram(found: Iterable[Row]) -> Iterator[str]:
    """The foreign keys, and the tables that have one or are referred to, with their keys."""
    rows = {row.name: row for row in found}
    drawn = set()
    yield "erDiagram"
    for name, row in rows.items():
        for key in (c for c in row.constraints if c["kind"] == "f" and c["refers_to"] in rows):
            drawn |= {name, key["refers_to"]}
            unique = any(
                set(other["columns"]) <= set(key["columns"])
                for other in row.constraints
                if other["kind"] in "pu"
            )
            ends = ("|o" if key["may_be_null"] else "||") + "--" + ("o|" if unique else "o{")
            # The show is in every key: it says nothing.
            label = [c for c in key["columns"] if c != "show_id"] or key["columns"]
            yield f'    {key["refers_to"]} {ends} {name} : "{", ".join(label)}"'
    for name, row in ((name, row) for name, row in rows.items() if name in drawn):
        marks: dict[str, list[str]] = {}
        for mark, kind in (("PK", "p"), ("FK", "f")):
            for column in {c for k in row.constraints if k["kind"] == kind for c in k["columns"]}:
                marks.setdefault(column, []).append(mark)
        yield f"    {name} {{"
        for column in row.columns:
            if column["name"] in marks:
                type_ = re.sub(r"\W+", "_", column["type"])
                yield f"        {type_} {column['name']} {','.join(marks[column['name']])}"
        yield "    }"


def functions(connection: Connection, variables: Variables) -> str:
    found = query(connection, "develop/reference/routines.sql", variables)
    messages = _messages(connection)
    chapters = []
    for name, (title, introduction) in SECTIONS.items():
        entries = (_function(row, messages) for row in found if row.section == name)
        chapters.append(section(title, introduction + "\n", *entries))
    return page(
        "Functions",
        "Those that sell answer with one row: `success`, what was asked for, `error_code` and "
        "`error_message`. A refusal is an answer, not an exception.",
        *chapters,
    )


def _messages(connection: Connection) -> dict[str, str]:
    """What each error code says. The function that knows may be in any schema of ours."""
    bodies = connection.execute("SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%error_code%'")
    codes = sorted({code for (body,) in bodies for code in ERROR_CODE.findall(body)})
    (schema,) = connection.execute(
        "SELECT pronamespace::regnamespace::text FROM pg_proc WHERE proname = 'error_message'"
    ).fetchall()[0]
    ask = sql.SQL("SELECT c, {}.error_message(c) FROM unnest(%s::text[]) AS c")
    rows = connection.execute(ask.format(sql.SQL(schema)), [codes])
    return {code: message for code, message in rows if message}


def _function(row: Row, messages: dict[str, str]) -> str:
    taken = [a for a in row.arguments if a["mode"] in "ibv"]
    given = [a for a in row.arguments if a["mode"] in "obt"]
    lines = (
        f"    {'INOUT ' if a['mode'] == 'b' else ''}{a['name']} {a['type']}"
        + (f" DEFAULT {default(a).strip('`')}" if a["default"] else "")
        for a in taken
    )
    call = f"{'CALL ' * row.is_procedure}{row.name}(" + ("\n" * bool(taken))
    call += ",\n".join(lines) + ("\n" * bool(taken)) + ")"
    answered = set(ERROR_CODE.findall(OTHER_ASSIGNMENT.sub("", row.body))) & messages.keys()
    is_answer = any(a["name"] == "error_code" for a in given)
    if given:
        rows = "rows" if row.returns_rows and not is_answer else "one row"
        returned = f"Returns {rows}:\n"
    else:
        returned = f"Returns {code(row.type)}.\n" if row.type else "Returns nothing.\n"
    return section(
        row.name,
        prose(row.comment) + "\n",
        block("sql", call),
        returned,
        grid(["column", "type"], ([code(a["name"]), code(a["type"])] for a in given))
        if given
        else "",
        grid(
            ["error code", "message"],
            ([code(c), prose(messages[c])] for c in sorted(answered)),
        )
        if is_answer
        else "",
        f"Executable by {', '.join(map(code, row.callers)) or 'its owner'}.\n",
        level=3,
    )


def views(connection: Connection, variables: Variables) -> str:
    found = [row for row in read_relations(connection, variables) if row.is_view]
    return page(
        "Views",
        "What dashboards, exporters and alerts read. The name of a column ends in its unit: "
        "`_seconds`, `_milliseconds`, `_minutes`, `_pct` (percent), `_cents` (the minor unit of a "
        "currency).",
        *(
            section(
                _name(row, variables),
                prose(row.comment) + "\n",
                grid(
                    ["column", "type", "unit", "what it is"],
                    (
                        [code(c["name"]), code(c["type"]), unit(c), prose(c["comment"])]
                        for c in row.columns
                    ),
                ),
                f"Readable by {', '.join(map(code, row.columns[0]['readers']))}.\n",
            )
            for row in found
        ),
    )


def unit(column: Part) -> str:
    """What a column of a view is measured in."""
    return next((name for end, name in UNITS.items() if column["name"].endswith(f"_{end}")), "")


def alerts(connection: Connection, variables: Variables) -> str:
    rules = query(connection, "develop/reference/alert_rules.sql", variables)
    return page(
        "Alert rules",
        "The rows of `monitoring.alert_rules` as they are shipped. They are data: thresholds "
        "change with UPDATE, and the view [alerts](views.md#monitoringalerts) follows at once.",
        grid(
            ["alert", "severity", "fires", "window", "at least", "what is measured", "what to do"],
            (
                [
                    code(rule.alert_name),
                    rule.severity,
                    f"{prose(rule.comparison)} {rule.threshold:,.15g} {rule.unit}".rstrip(),
                    f"{rule.time_window_seconds:,} s" if rule.time_window_seconds else "",
                    f"{rule.minimum_events} events" if rule.minimum_events > 1 else "",
                    prose(rule.summary),
                    f"{prose(rule.action)} [Runbook]({_runbook(rule.runbook)})",
                ]
                for rule in rules
            ),
        ),
    )


def _runbook(address: str) -> str:
    """Where it is, seen from the reference. Addresses of elsewhere stay as they are."""
    return address if "://" in address else f"../runbooks/{PurePosixPath(address).name}"
