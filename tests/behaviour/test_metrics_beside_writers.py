"""In no snapshot do views and logs differ, while eight write and others roll up."""

import time

from tests.support.databases import Connect, Database
from tests.support.queries import Connection, enter, value
from tests.support.rollups import assert_exact, roll_up_all
from tests.support.sabotage import Edit
from tests.support.storm import storm
from tests.support.waiting import PATIENCE_SECONDS


def test_in_no_snapshot_do_the_views_differ_from_the_log(
    owner: Connection, database: Database, connect: Connect
) -> None:
    patient = enter(connect())
    patient.execute("SET default_transaction_isolation = 'repeatable read'")
    with storm(owner, database, rollups=(500_000, 50)):
        tailed = 0
        for _ in range(20):
            (seen,) = owner.execute("SELECT * FROM compare(100)").fetchall()
            assert (seen.comparisons, seen.differences) == (100, 0)
            tailed += seen.tailed
            # And in several statements, where a transaction has one snapshot.
            for _ in range(10):
                with patient.transaction():
                    of_views = value(patient, "SELECT of_views FROM comparison")
                    assert of_views == value(patient, "SELECT of_logs FROM comparison")
        assert tailed > 1000  # had both in the rollups and in the log
        assert_exact(owner)
    roll_up_all(owner)
    assert_exact(owner)


def test_rolling_up_what_is_not_final_would_be_noticed(
    owner: Connection, database: Database
) -> None:
    """The negative control of the comparison: a transaction that commits late is missed."""
    Edit("roll_up_metrics", "pg_snapshot_xmin", "pg_snapshot_xmax")(owner)
    with storm(owner, database, rollups=(500_000,), looks="false"):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while owner.execute("SELECT * FROM compare(20)").fetchall()[0].differences == 0:
            assert time.monotonic() < deadline, "nobody has noticed"
