"""``/admin/aggregation``: who makes one answer of many best.  Needs the admin key."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from coterie.types import as_jsonable
from evals.aggregation import Standing
from evals.stats import Rate
from evals.tasks import load_task
from evals.tasks.options import TaskOptions
from orchestrator.api.deps import ForViewer
from orchestrator.bench import TrialPlan, standing_of
from skills.answer_store import AnswerStore

router = APIRouter(prefix="/admin/aggregation")


@router.get("")
async def show_bench(
    parts: ForViewer,
    task: str = "demo",
    split: str = "val",
    limit: Annotated[int | None, Query(ge=1)] = None,
    seed: int = 0,
    skill: Annotated[list[str] | None, Query()] = None,
) -> dict[str, Any]:
    """How candidates and simple rules stand on the trials that ``POST /admin/profiles`` with
    ``aggregation`` and the same settings puts to them; nobody is asked here."""
    loaded = load_task(task, TaskOptions(folder=parts.settings.benchmarks))
    plan = TrialPlan(loaded, split, limit, seed, tuple(skill or ()))
    found = await standing_of(AnswerStore(parts.database), plan)
    registered = {e.name for e in await parts.registry.list()}
    return {
        "task": loaded.name,
        "split": split,
        "seed": seed,
        "skills": list(plan.skills),
        "trials": found.trials,
        "experts": [standing_body(s) for s in found.candidates if s.name in registered],
        "rules": [standing_body(s) for s in found.rules],
    }


def standing_body(standing: Standing) -> dict[str, Any]:
    """A standing as JSON."""
    rates = ("all", "mixed", "none_right", "all_right", "answering")
    return {
        "name": standing.name,
        **{name: _rate(getattr(standing, name)) for name in rates},
        "gain": as_jsonable(standing.gain),
    }


def _rate(rate: Rate | None) -> dict[str, Any] | None:
    return None if rate is None else {"mean": rate.mean, **as_jsonable(rate)}
