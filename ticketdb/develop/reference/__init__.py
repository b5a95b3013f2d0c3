"""The reference: what a database and the package say of themselves, as pages of Markdown.

Tables, functions, views and alerts come from the catalog of a database at head, and from the
comments there; commands, settings and error codes from the package.
"""

import typer

from ticketdb.config import Variables
from ticketdb.database import Connection, pin
from ticketdb.develop.reference.database import alerts, functions, tables, views
from ticketdb.develop.reference.markdown import page
from ticketdb.develop.reference.package import commands, error_codes, settings
from ticketdb.paths import PACKAGE

FOLDER = PACKAGE.parent / "docs" / "reference"
CONTENTS = {
    "tables.md": "each table and its columns, keys and checks; how they refer to each other",
    "functions.md": "what the application and the jobs call: arguments, answers, error codes",
    "views.md": "what dashboards read: columns with their units",
    "alerts.md": "when an alert fires, and what to do",
    "settings.md": "policy, which is data, and the names in `ticketdb.toml`",
    "commands.md": "each command of the program and its options",
    "error-codes.md": "what a failing command means, and what to do next",
}


def read_pages(connection: Connection, variables: Variables, app: typer.Typer) -> dict[str, str]:
    """The pages by the names of their files, written from a database at head and the program."""
    pin(connection)
    pages = {
        "tables.md": tables(connection, variables),
        "functions.md": functions(connection, variables),
        "views.md": views(connection, variables),
        "alerts.md": alerts(connection, variables),
        "settings.md": settings(connection, variables),
        "commands.md": commands(app),
        "error-codes.md": error_codes(),
    }
    titles = {name: text.partition("\n")[0].removeprefix("# ") for name, text in pages.items()}
    listed = "".join(f"- [{titles[name]}]({name}): {what}\n" for name, what in CONTENTS.items())
    introduction = (
        "Each thing once, as the database and the program describe themselves, under the names "
        "that they have by default."
    )
    return {"README.md": page("Reference", introduction, listed), **pages}
