"""What a fused expert is made of."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("experts", sa.Column("fusion", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("experts", "fusion")
