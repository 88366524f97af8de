"""Profiling questions, immutable snapshots in the place of estimates, and skill keywords."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "questions",
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("options", sa.Integer(), nullable=False),
        sa.Column("choices", sa.JSON(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("skills", sa.JSON(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.Column("encoder", sa.Text(), nullable=True),
        sa.Column("taxonomy", sa.Text(), nullable=True),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("task", "item", name=op.f("pk_questions")),
    )
    op.create_table(
        "snapshots",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.Column("encoder", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_snapshots")),
    )
    op.create_table(
        "active_snapshot",
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["name"], ["snapshots.name"], name=op.f("fk_active_snapshot_name_snapshots")
        ),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_active_snapshot")),
    )
    op.create_table(
        "synonyms",
        sa.Column("keyword", sa.Text(), nullable=False),
        sa.Column("skill", sa.Text(), nullable=False),
        sa.Column("similarity", sa.Double(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("keyword", name=op.f("pk_synonyms")),
    )
    op.create_table(
        "keyword_cache",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("keywords", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_keyword_cache")),
    )
    op.create_index(op.f("ix_keyword_cache_created_at"), "keyword_cache", ["created_at"])

    op.add_column("graded_answers", sa.Column("reading", sa.Integer(), nullable=True))
    # What was read counts as stated: how it was read is not known of older answers.
    op.execute("UPDATE graded_answers SET reading = CASE WHEN extracted IS NULL THEN 0 ELSE 1 END")
    with op.batch_alter_table("graded_answers") as table:
        table.alter_column("reading", existing_type=sa.Integer(), nullable=False)

    # Estimates follow from the graded answers: the next start makes the first snapshot of these.
    op.drop_table("estimates")


def downgrade() -> None:
    op.create_table(
        "estimates",
        sa.Column("expert", sa.Text(), nullable=False),
        sa.Column("skill", sa.Text(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("sd", sa.Double(), nullable=False),
        sa.Column("n", sa.Double(), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["expert"],
            ["experts.name"],
            name=op.f("fk_estimates_expert_experts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("expert", "skill", name=op.f("pk_estimates")),
    )
    with op.batch_alter_table("graded_answers") as table:
        table.drop_column("reading")
    for name in ("keyword_cache", "synonyms", "active_snapshot", "snapshots", "questions"):
        op.drop_table(name)
