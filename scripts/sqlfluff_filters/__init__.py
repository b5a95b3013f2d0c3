"""What .sqlfluff needs to render sql/: the filter `literal`, as in ticketdb/templates.py."""


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


SQLFLUFF_JINJA_FILTERS = {"literal": _literal}
