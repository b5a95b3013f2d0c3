"""Schemas, roles, ledger and settings."""

from ticketdb.migrate.run import run_down, run_up

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_up(revision)


def downgrade() -> None:
    run_down(revision)
