"""The fixtures of the behaviour tests, for tests that take longer."""

from tests.behaviour.conftest import connection, owner, shared_database

__all__ = ["connection", "owner", "shared_database"]
