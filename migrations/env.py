"""Runs migrations over the connection that ``orchestrator.schema`` opened, in its transaction."""

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator

config = context.config


def render_item(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Migrations name plain column types: Coterie's own may change after them."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


context.configure(
    connection=config.attributes["connection"],
    target_metadata=config.attributes["metadata"],
    render_item=render_item,
    compare_type=True,
    render_as_batch=True,  # SQLite alters a table by making it anew
)
context.run_migrations()
