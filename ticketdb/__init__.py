"""ticketdb: the database half of a reserved-seat ticketing system.

The database is the product; this package templates, applies and verifies it.
"""

from importlib.metadata import version

__version__ = version("ticketdb")
SUPPORTED_MAJORS = range(15, 19)  # of PostgreSQL
SUPPORTED = f"{SUPPORTED_MAJORS[0]} to {SUPPORTED_MAJORS[-1]}"
