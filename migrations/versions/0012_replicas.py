"""Several servers of one expert, and how much of it is asked at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    endpoints = sa.Column("endpoints", sa.JSON(), nullable=False, server_default="[]")
    op.add_column("experts", endpoints)
    op.add_column("experts", sa.Column("limits", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("experts", "limits")
    op.drop_column("experts", "endpoints")
