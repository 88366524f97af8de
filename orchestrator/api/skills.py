"""``/admin``: profiling, its snapshots, and synonyms.  Viewers read, administrators change."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from coterie.errors import RequestError
from coterie.types import as_jsonable
from evals.tasks import load_task
from evals.tasks.options import TaskOptions
from orchestrator.api.deps import ForAdmin, ForViewer, WhoCalls
from orchestrator.parts import Parts
from orchestrator.profiling import ProfilingPlan
from skills.keyword_store import KeywordStore
from skills.snapshot import SnapshotInfo
from skills.synonyms import Synonyms, near_skills

router = APIRouter(prefix="/admin")

MOST_KEYWORDS = 500
"""Keywords that are compared to the skills, the most frequent ones."""

ADMINISTRATOR = "administrator"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProfilingRequest(_Body):
    """Which experts to grade, on what; all recruited ones where none is named."""

    task: str = "demo"
    experts: list[str] = Field(default_factory=list)
    split: str = "val"
    limit: Annotated[int, Field(ge=1)] | None = None
    name: str | None = None
    aggregation: bool = False
    seed: int = 0
    skills: list[str] = Field(default_factory=list)


class SnapshotRequest(_Body):
    """What a new snapshot is called (by time and content if nothing else), and why it is made."""

    name: str | None = None
    note: str = ""


class MergeRequest(_Body):
    """That ``keyword`` is to be read as ``skill``."""

    keyword: str = Field(min_length=1)
    skill: str = Field(min_length=1)


class SplitRequest(_Body):
    """That ``keyword`` is to be read as nothing but itself."""

    keyword: str


# --- profiles -----------------------------------------------------------------------------------


@router.post("/profiles", status_code=202)
async def start_profiling(body: ProfilingRequest, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Begins grading experts; ``GET /admin/profiles`` tells how far it is."""
    if body.name is not None:  # told now, not after an hour of grading
        await parts.archive.check_name(body.name)
    if body.skills and not body.aggregation:
        raise RequestError(
            "only trials of aggregation are chosen by skill: leave out 'skills', or set "
            "'aggregation'",
            param="skills",
        )
    task = load_task(body.task, TaskOptions(folder=parts.settings.benchmarks))
    parts.profiling.start(
        ProfilingPlan(
            task,
            tuple(body.experts),
            body.split,
            body.limit,
            body.name,
            body.aggregation,
            body.seed,
            tuple(body.skills),
        )
    )
    await parts.audit.note(who, "profiles.start", task.name, body.model_dump())
    return {"profiling": as_jsonable(parts.profiling.state)}


@router.get("/profiles")
async def show_profiles(parts: ForViewer) -> dict[str, Any]:
    """The active snapshot's profiles of registered experts, and the state of a run."""
    knowledge = await parts.knowledge()
    registered = {e.name for e in await parts.registry.list()}
    profiles = [p for name, p in sorted(knowledge.profiles.items()) if name in registered]
    return {
        "profiling": as_jsonable(parts.profiling.state),
        "snapshot": knowledge.name or None,
        "profiles": [as_jsonable(p) for p in profiles],
        "taxonomy": [as_jsonable(s) for s in parts.taxonomy],
    }


# --- snapshots ----------------------------------------------------------------------------------


@router.get("/snapshots")
async def list_snapshots(parts: ForViewer) -> dict[str, Any]:
    """Every snapshot, the newest first."""
    active = await parts.archive.snapshots.active()
    found = await parts.archive.snapshots.list()
    return {"active": active, "snapshots": [snapshot_body(info, active) for info in found]}


@router.post("/snapshots", status_code=201)
async def make_snapshot(body: SnapshotRequest, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """A new snapshot of all stored answers; routing uses it from now on."""
    made = await parts.archive.make(body.name, note=body.note)
    await parts.audit.note(who, "snapshot.make", made.name, {"note": body.note})
    await parts.knowledge()
    return snapshot_body(made, made.name)


@router.post("/snapshots/{name}/activate")
async def activate_snapshot(name: str, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Makes routing use an older snapshot again, or a newer one."""
    info = await parts.archive.snapshots.activate(name)
    await parts.audit.note(who, "snapshot.activate", name)
    await parts.knowledge()
    return snapshot_body(info, name)


@router.delete("/snapshots/{name}", status_code=204)
async def remove_snapshot(name: str, parts: ForAdmin, who: WhoCalls) -> None:
    """Forgets a snapshot that is not the active one."""
    await parts.archive.snapshots.remove(name)
    await parts.audit.note(who, "snapshot.remove", name)


def snapshot_body(info: SnapshotInfo, active: str | None) -> dict[str, Any]:
    """A snapshot as JSON, without its body."""
    return {
        **as_jsonable(info),
        "created_at": info.created_at.isoformat(),
        "active": info.name == active,
    }


# --- synonyms -----------------------------------------------------------------------------------


@router.get("/synonyms")
async def list_synonyms(parts: ForViewer) -> dict[str, Any]:
    """Which keywords are read as which skill, and who says so."""
    return _synonyms_body(await parts.synonyms.synonyms())


@router.get("/synonyms/suggestions")
async def suggest_synonyms(
    parts: ForViewer, threshold: Annotated[float, Query(gt=0, le=1)] = 0.8
) -> dict[str, Any]:
    """Keywords an LLM named that are nearly a skill, most similar first; nothing is merged."""
    embed = parts.coterie.services.embed
    words = await KeywordStore(parts.database).frequent(MOST_KEYWORDS)
    skills = [s.name for s in parts.taxonomy]
    if embed is None or not words:
        return {"suggestions": []}
    vectors = await embed([*skills, *words])
    merged = await parts.synonyms.synonyms()
    found = near_skills(skills, words, vectors, merged, threshold=threshold)
    return {"suggestions": [as_jsonable(s) for s in found]}


@router.post("/synonyms/merge")
async def merge_synonym(body: MergeRequest, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """From now on the keyword is read as the skill; nothing stored is rewritten."""
    _check_skill(body.skill, parts)
    merged = await parts.synonyms.merge(body.keyword, body.skill, by=ADMINISTRATOR)
    await parts.audit.note(who, "synonym.merge", body.keyword, {"skill": body.skill})
    await parts.read_synonyms()
    return _synonyms_body(merged)


@router.post("/synonyms/split")
async def split_synonym(body: SplitRequest, parts: ForAdmin, who: WhoCalls) -> dict[str, Any]:
    """Takes a merge back."""
    left = await parts.synonyms.split(body.keyword)
    await parts.audit.note(who, "synonym.split", body.keyword)
    await parts.read_synonyms()
    return _synonyms_body(left)


def _synonyms_body(synonyms: Synonyms) -> dict[str, Any]:
    found = sorted(synonyms.merged.values(), key=lambda s: (s.skill, s.keyword))
    return {"synonyms": [as_jsonable(s) for s in found]}


def _check_skill(skill: str, parts: Parts) -> None:
    profiles = parts.roster.snapshot.knowledge.profiles.values()
    known = {s.name for s in parts.taxonomy} | {name for p in profiles for name in p.skills}
    if skill not in known:
        raise RequestError(
            f"no skill is named {skill!r}; known are {', '.join(map(repr, sorted(known)))}",
            param="skill",
        )
