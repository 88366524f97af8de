"""A few prompts of those an expert was trained on."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # With a default, so that the table need not be made anew: on SQLite that would drop the old
    # one, and with it every graded answer.
    empty = sa.text("'[]'")
    op.add_column("experts", sa.Column("examples", sa.JSON(), nullable=False, server_default=empty))


def downgrade() -> None:
    op.drop_column("experts", "examples")
