"""The table of settings in docs/configuration.md, made of the settings themselves.

``python -m orchestrator.settings_reference`` writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from orchestrator.settings import Settings

PAGE = Path("docs/configuration.md")
BEGIN = "<!-- the settings: python -m orchestrator.settings_reference -->"
END = "<!-- the end of the settings -->"

DEFAULTS = {
    "DATABASE_URL": "an SQLite file in `COTERIE_HOME`",
    "COTERIE_WORKER_NAME": "the machine's name",
    "COTERIE_AGGREGATE_UNDER": "as the snapshot says, else `0`",
    "COTERIE_EXPERT_NETWORKS": "anywhere",
    "COTERIE_VLLM_PYTHON": "Coterie's own",
    "COTERIE_CONTENTS_KEY": "`contents.key` in `COTERIE_HOME`",
    "COTERIE_SEAL_KEY": "`seal.key` in `COTERIE_HOME`",
    "COTERIE_ACCESS_LOG": "`1` where lines are JSON, else `0`",
}
"""What unset ones come to where their default does not say so."""

PAGES = {
    "REDIS_URL": "workers.md",
    "COTERIE_LOG_FORMAT": "observability.md#logs",
    "COTERIE_METRICS_KEY": "observability.md#metrics",
    "COTERIE_EMBEDDING_MODEL": "profiles.md",
    "COTERIE_COST_WEIGHT": "routing.md",
    "COTERIE_AGGREGATE_UNDER": "aggregation.md",
    "COTERIE_ENGINE_SLOTS": "engines.md",
    "COTERIE_JOBS_SIDE_BY_SIDE": "jobs.md#side-by-side",
    "COTERIE_LIMITS_WHEN_AWAY": "keys.md",
    "COTERIE_TRACE_LIMIT": "records.md",
    "COTERIE_FEEDBACK_COUNTS": "records.md#feedback",
    "COTERIE_SEAL_KEY": "jobs.md",
    "COTERIE_RECORDED": "replay.md",
    "COTERIE_BENCHMARKS": "tasks.md",
}
"""Where there is more to read."""


def table() -> str:
    """Every setting, in their order: variable, default, what is allowed, what it does."""
    rows = ["| variable | default | allowed | what |", "|---|---|---|---|"]
    for field in Settings.model_fields.values():
        name = str(field.validation_alias)
        what = _cell(" ".join((field.description or "").split()).rstrip("."))
        more = f" ([more]({PAGES[name]}))" if name in PAGES else ""
        rows.append(f"| `{name}` | {_default(name, field)} | {_allowed(field)} | {what}{more} |")
    return "\n".join(rows)


def renewed(page: str) -> str:
    """``page`` with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page has no lines {BEGIN!r} and {END!r} to put the table between")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _default(name: str, field: FieldInfo) -> str:
    if name in DEFAULTS:
        return DEFAULTS[name]
    value = field.default
    if value is None:
        return "–"
    if isinstance(value, bool):
        return f"`{int(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _allowed(field: FieldInfo) -> str:
    kinds = [k for k in (field.annotation, *get_args(field.annotation)) if k is not None]
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    if bool in kinds:
        return "`0`, `1`"
    noun = "whole number" if int in kinds else "number" if float in kinds else ""
    if not noun:
        least = [m.min_length for m in field.metadata if isinstance(m, MinLen)]
        return f"{least[0]} characters or more" if least else "path" if Path in kinds else "text"
    return ", ".join([noun, *_bounds(field)])


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound in field.metadata:
        match bound:
            case Gt(gt=value):
                yield f"over {value}"
            case Ge(ge=value):
                yield f"{value} or more"
            case Lt(lt=value):
                yield f"under {value}"
            case Le(le=value):
                yield f"at most {value}"
            case Interval():
                raise ValueError(f"an interval is not understood: {bound!r}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
