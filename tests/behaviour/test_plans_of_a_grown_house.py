"""Nothing costs more because a house is old: every view and every public function, after a year.

They are listed by the catalog, so that a new one has to be tried here. Counted, not timed: buffers,
and rows that pass through the plans. A reader whose cost grows with the history fails.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.behaviour.conftest import NAMES, Connection, Hall, enter, make_hall, value
from tests.behaviour.grown import Size, make_grown_template
from tests.behaviour.monitoring import Holds, Refunds, Run, views, write
from tests.behaviour.plans import explained
from tests.behaviour.test_views_price import rows_looked_at
from tests.conftest import Database, quoted, throw_away_database
from ticketdb.cluster import Cluster

LIVE_HOLDS = 50
