"""Why-records are found by what was asked of whom, and counted over time.

Of those from before, only what their columns tell is found: their experts and skills are not.
"""

from datetime import UTC

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

MOMENT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FILTERS = ("strategy", "model", "outcome", "key", "agreement_band", "cost_band", "latency_band")
REQUESTS = (
    *("requests", "answered", "written", "fallbacks", "failed", "left"),
    *("calls", "failed_calls", "prompt_tokens", "completion_tokens", "timed", "compared"),
)
CALLS = (
    *("calls", "failures", "prompt_tokens", "completion_tokens"),
    *("chosen", "compared", "agreed"),
)
LATENCIES, COSTS = 21, 20


def upgrade() -> None:
    op.drop_index("ix_routes_created_at", "routes")
    op.create_table(
        "route_heads",
        sa.Column("moment", MOMENT, autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        *(_text(name) for name in ("strategy", "model", "outcome", "key")),
        sa.Column("agreement", sa.Double(), nullable=True),
        sa.Column("cost_usd", sa.Double(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("agreement_band", sa.SmallInteger(), nullable=True),
        sa.Column("cost_band", sa.SmallInteger(), nullable=False),
        sa.Column("latency_band", sa.SmallInteger(), nullable=True),
        sa.PrimaryKeyConstraint("moment", name="pk_route_heads"),
        sa.UniqueConstraint("id", name="uq_route_heads_id"),
    )
    for name in FILTERS:
        op.create_index(f"ix_route_heads_{name}_moment", "route_heads", [name, "moment"])
    _beside("route_experts", _text("expert"), sa.Column("part", sa.SmallInteger(), nullable=False))
    op.create_index(
        "ix_route_experts_expert_part_moment", "route_experts", ["expert", "part", "moment"]
    )
    _beside("route_skills", _text("skill"))
    op.create_index("ix_route_skills_skill_moment", "route_skills", ["skill", "moment"])
    _feedback()
    _traffic()
    _find_old()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _beside(table: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        table,
        sa.Column("moment", sa.BigInteger(), autoincrement=False, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("moment", *(c.name for c in columns), name=f"pk_{table}"),
        sqlite_with_rowid=False,
    )


def _feedback() -> None:
    op.create_table(
        "route_feedback",
        _text("route"),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        _text("verdict"),
        sa.Column("answer", sa.Text(), nullable=True),
        *map(_text, ("note", "given_by")),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        _text("item"),
        sa.PrimaryKeyConstraint("route", name="pk_route_feedback"),
    )
    op.create_index("ix_route_feedback_moment", "route_feedback", ["moment"])
    op.create_index("ix_route_feedback_verdict_moment", "route_feedback", ["verdict", "moment"])


def _traffic() -> None:
    latencies = [f"latency_{i}" for i in range(LATENCIES)]
    costs = [f"cost_{i}" for i in range(COSTS)]
    sums = ("cost_usd", "latency_ms", "overhead_ms", "agreement")
    _sums("traffic", ["strategy"], REQUESTS, sums, latencies)
    _sums("traffic_experts", ["expert", "role"], CALLS, sums[:2], [*latencies, *costs])
    op.create_index(
        "ix_traffic_experts_seconds_expert_start", "traffic_experts", ["seconds", "expert", "start"]
    )


def _sums(
    table: str,
    by: list[str],
    counts: tuple[str, ...],
    sums: tuple[str, ...],
    histograms: list[str],
) -> None:
    op.create_table(
        table,
        sa.Column("seconds", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        *map(_text, by),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        *(sa.Column(name, sa.Double(), nullable=False) for name in sums),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in histograms),
        sa.PrimaryKeyConstraint("seconds", "start", *by, name=f"pk_{table}"),
        sqlite_with_rowid=False,
    )


def _find_old() -> None:
    """Lets the records from before be found, in the order of their time."""
    routes = sa.table(
        "routes",
        *(sa.column(n, sa.Text()) for n in ("id", "strategy", "model", "status")),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    heads = sa.table(
        "route_heads",
        *(sa.column(n) for n in ("moment", "id", "strategy", "model", "outcome", "key")),
        *(sa.column(n) for n in ("cost_usd", "cost_band")),
    )
    last, found = 0, []
    old = sa.select(routes).order_by(routes.c.created_at, routes.c.id)
    for row in op.get_bind().execute(old).mappings().all():
        at = row["created_at"].replace(tzinfo=row["created_at"].tzinfo or UTC)
        last = max(last + 1, round(at.timestamp() * 1e6) << 12)
        named = {name: row[name] for name in ("id", "strategy", "model")}
        found.append(
            {
                **named,
                "moment": last,
                "outcome": row["status"] or "answered",
                "key": "",
                "cost_usd": 0.0,
                "cost_band": 0,
            }
        )
    if found:
        op.bulk_insert(heads, found)


def downgrade() -> None:
    for table in ("traffic_experts", "traffic", "route_feedback", "route_skills", "route_experts"):
        op.drop_table(table)
    op.drop_table("route_heads")
    op.create_index("ix_routes_created_at", "routes", ["created_at"])
