"""The names of schemas, roles and jobs in the databases of this run."""

import os
import re
from dataclasses import replace
from functools import cache

from psycopg import sql

from ticketdb.config import JOBS, Variables
from ticketdb.migrate.chain import MADE, read_sources
from ticketdb.paths import shipped_tree

# In a second run of the suite, with TICKETDB_TEST_NAMES=other, nothing has its default name.
HAS_OTHER_NAMES = os.environ.get("TICKETDB_TEST_NAMES") == "other"
OTHER_NAMES = Variables(
    schema="box office",
    monitoring_schema="gauges",
    internal_schema="boiler room",
    app_role="shop",
    box_office_role="counter",
    monitor_role="watchers",
    dashboard_role="wallboard",
    datadog_role="hound",
    cleanup_job="sweep",
    rollup_job="tally",
    invariants_job="proof",
    partition_job="months",
    purge_job="forget",
)
NAMES = OTHER_NAMES if HAS_OTHER_NAMES else Variables()
# A second installation beside that with the default names: its schemas, and jobs of its own, too.
SECOND = replace(
    Variables(),
    schema="shop_b",
    monitoring_schema="shop_b_monitoring",
    internal_schema="shop_b_inner",
)
JOBS_OF_SECOND: dict[str, str] = {name: f"shop_b_{name}" for name in JOBS}
BESIDE = replace(SECOND, **JOBS_OF_SECOND)  # type: ignore[arg-type]

SCHEMAS = (NAMES.schema, NAMES.monitoring_schema, NAMES.internal_schema)


def quoted(name: str) -> str:
    """The name as SQL writes it, for places that take text: a setting, a regnamespace."""
    return sql.Identifier(name).as_string()


# As SQL writes them, and a session that has them all on its path.
OURS = [quoted(schema) for schema in SCHEMAS]
ALL_OF_OURS = f"SET search_path = {', '.join(dict.fromkeys([*OURS, 'public']))}".encode()


@cache
def _schemas() -> dict[str, str]:
    """The variable that names the schema of each object of ours, by the object's name."""
    made = (MADE.search(source.text) for source in read_sources(shipped_tree()))
    paths = (first["name"] for first in made if first and first["name"] and "." in first["name"])
    return {name: schema for schema, name in (re.findall(r"\w+", path) for path in paths)}


def located(name: str) -> sql.Identifier:
    """A table, view or function of ours with its schema."""
    return sql.Identifier(getattr(NAMES, _schemas()[name]), name)
