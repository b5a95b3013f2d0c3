"""The clock under which `make test-dates` runs shifts dates, and nothing else."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not which("cc"), reason="there is no C compiler here")


def at_date(date: str, program: str) -> list[str]:
    done = subprocess.run(
        [ROOT / "scripts" / "at-date", date, sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("date", ["2028-02-29 12:00:00", "1999-12-31 23:59:00"])
def test_a_program_and_its_children_are_at_one_date(date: str) -> None:
    printed = at_date(
        date,
        "import subprocess, sys, time; child = 'import time; print(time.time())';"
        "print(time.time(), flush=True); subprocess.run([sys.executable, '-c', child])",
    )
    begin = datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()
    mine, childs = map(float, printed)
    assert begin <= mine <= childs <= begin + 60


def test_a_server_is_at_that_date_and_its_time_outs_come_when_they_are_due() -> None:
    printed = at_date(
        "2027-10-31 00:59:00",
        """
import psycopg, time
from ticketdb.private_server import private_cluster
with private_cluster() as cluster, psycopg.connect(cluster.dsn(), autocommit=True) as session:
    print(session.execute("SELECT now()::date").fetchone()[0])
    session.execute("SET statement_timeout = '100ms'")
    begin = time.monotonic()
    try:
        session.execute("SELECT pg_sleep(20)")
    except psycopg.errors.QueryCanceled:
        print(time.monotonic() - begin < 10)
""",
    )
    assert printed == ["2027-10-31", "True"]
