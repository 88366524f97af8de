"""Whether an expert is asked without being named."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    column = sa.Column("recruit", sa.Boolean(), nullable=False, server_default=sa.true())
    op.add_column("experts", column)


def downgrade() -> None:
    op.drop_column("experts", "recruit")
