"""Metrics and dashboards."""

from ticketdb.migrate import run_down, run_up

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_up(revision)


def downgrade() -> None:
    run_down(revision)
