"""What kind of error a unit failed with, and what a caller is told of an item without an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("units", sa.Column("failed_as", sa.JSON(), nullable=True))
    op.add_column("job_items", sa.Column("refusal", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("job_items") as table:
        table.drop_column("refusal")
    with op.batch_alter_table("units") as table:
        table.drop_column("failed_as")
