"""The fixtures of the behaviour tests, for tests that take longer."""

from tests.behaviour.conftest import (
    connection as connection,
)
from tests.behaviour.conftest import (
    owner as owner,
)
from tests.behaviour.conftest import (
    pytest_configure as pytest_configure,
)
from tests.behaviour.conftest import (
    shared_database as shared_database,
)
