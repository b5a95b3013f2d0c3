"""alembic's way in. There is no alembic.ini: ticketdb hands over an open connection."""

from alembic import context

from ticketdb.database import VERSION_TABLE
from ticketdb.migrate.run import current_run

run = current_run()
# alembic takes a transaction that is open already for its caller's. It would run everything,
# commit nothing, and return as if all were well.
if run.connection.in_transaction() and not run.rehearsing:
    raise RuntimeError("the connection is in a transaction: alembic would commit nothing")

context.configure(
    connection=run.connection,
    version_table=VERSION_TABLE,
    version_table_schema=run.variables.internal_schema,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
