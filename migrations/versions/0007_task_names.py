"""One name for tasks that share their items: "mmlu_pro" is "mmlu-pro", GPQA's subsets are "gpqa".

And one id for GSM8K's items, which a recording calls by other words than the task.  Of two answers
of an expert to the same item the newer stays, as if it had been given later.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ANSWERS = sa.table(
    "graded_answers",
    *(sa.column(n, sa.Text()) for n in ("expert", "task", "item")),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
QUESTIONS = sa.table(
    "questions",
    *(sa.column(n, sa.Text()) for n in ("task", "item")),
    sa.column("updated_at", sa.DateTime(timezone=True)),
)
PARTS = {"gpqa-diamond": "gpqa", "gpqa-main": "gpqa", "gpqa-extended": "gpqa"}
RECORDED, OURS = "gsm8k/gsm8k-main-test-#", "gsm8k/test/"


def upgrade() -> None:
    connection = op.get_bind()
    for table in (ANSWERS, QUESTIONS):
        tasks = connection.scalars(sa.select(table.c.task).distinct()).all()
        renamed = [task for task in tasks if task != _name(task)]
        names = {*map(_name, renamed), "gsm8k"}
        _drop_older(connection, table, [task for task in tasks if _name(task) in names])
        for task in renamed:
            update = sa.update(table).where(table.c.task == task)
            connection.execute(update.values(task=_name(task)))
        other = sa.and_(table.c.task == "gsm8k", table.c.item.startswith(RECORDED, autoescape=True))
        ours = sa.func.replace(table.c.item, RECORDED, OURS)
        connection.execute(sa.update(table).where(other).values(item=ours))


def downgrade() -> None:
    """Nothing: the names there were are not kept, and both versions can read these."""


def _name(task: str) -> str:
    plain = task.replace("_", "-")
    return PARTS.get(plain, plain)


def _drop_older(connection: sa.Connection, table: Any, tasks: Sequence[str]) -> None:
    """Of rows that will be called the same, all but the newest go."""
    named = [column for column in table.c if column.name in ("expert", "task", "item")]
    when = table.c.created_at if table is ANSWERS else table.c.updated_at
    query = sa.select(*named).where(table.c.task.in_(tasks))
    seen: set[tuple[str, ...]] = set()
    gone = []
    for row in connection.execute(query.order_by(when.desc(), table.c.task)).mappings().all():
        key = (row.get("expert", ""), _name(row["task"]), row["item"].replace(RECORDED, OURS))
        if key in seen:
            gone.append({f"its_{name}": value for name, value in row.items()})
        seen.add(key)
    if gone:
        same = (column == sa.bindparam(f"its_{column.name}") for column in named)
        connection.execute(sa.delete(table).where(*same), gone)
