"""Logs of every change, in monthly partitions."""

from ticketdb.migrate.run import run_down, run_up

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_up(revision)


def downgrade() -> None:
    run_down(revision)
