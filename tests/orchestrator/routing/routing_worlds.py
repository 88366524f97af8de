"""Pools, profiles and memories for routing tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from coterie.types import (
    OVERALL,
    Effort,
    Estimate,
    Expert,
    ExpertKind,
    Profile,
    SkillWeight,
)
from orchestrator.routing import Pool, Query
from skills.heldout import rates
from skills.knowledge import Knowledge
from skills.memory import Memory

SQL = Query((SkillWeight("sql", 1.0, 0.8),), "SELECT what?")
SKILLS = ("law", "maths", "sql")
LETTERS = "ABCD"


def expert(name: str, **fields: object) -> Expert:
    return Expert(name, ExpertKind.OPENAI, name, endpoint="http://127.0.0.1:1", **fields)  # type: ignore[arg-type]


def profile(name: str, overall: float, **skills: float) -> Profile:
    rated = {skill: Estimate(mean, 0.05, 20) for skill, mean in skills.items()}
    return Profile(name, Estimate(overall, 0.03, 100), rated)


def pool(*profiles: Profile) -> Pool:
    return Pool([expert(p.expert) for p in profiles], Knowledge.of(profiles))


def question(i: int, *, options: int = len(LETTERS)) -> Query:
    """One of a world's kind of questions, on a skill of its own."""
    skill = SKILLS[i % len(SKILLS)]
    rng = np.random.default_rng(i)
    return Query((SkillWeight(skill, 1.0, 0.6),), f"question {i}", _vector(skill, rng), options)


def memory(competence: Mapping[str, Sequence[float]], n: int = 90, *, seed: int = 0) -> Memory:
    """``n`` multiple-choice questions; ``competence`` is each expert's chance at each of SKILLS.

    Wrong answers are spread evenly; every question needs one skill, which is its category too.
    """
    rng = np.random.default_rng(seed)
    names = tuple(sorted(competence))
    skills = [SKILLS[i % len(SKILLS)] for i in range(n)]
    chance = np.array([[competence[e][SKILLS.index(s)] for e in names] for s in skills])
    correct = rng.random(chance.shape) < chance
    wrong = rng.integers(1, len(LETTERS), chance.shape)
    answers = np.array(list(LETTERS))[np.where(correct, 0, wrong)]
    return Memory(
        experts=names,
        items=tuple(f"item {seed} {i}" for i in range(n)),
        categories=tuple(skills),
        skills=tuple((SkillWeight(s, 1.0, 0.6),) for s in skills),
        vectors=np.stack([_vector(s, rng) for s in skills]),
        options=np.full(n, len(LETTERS), dtype=np.int16),
        correct=correct.astype(np.float32),
        answers=answers,
        readings=np.ones(chance.shape, dtype=np.int8),
        tokens=np.full(chance.shape, 10.0, dtype=np.float32),
    )


def profiles_of(remembered: Memory, latency_s: Mapping[str, float] | None = None) -> list[Profile]:
    """Beta profiles of a memory's experts."""
    table = rates(remembered)
    found = []
    for i, name in enumerate(table.experts):
        estimates = {
            skill: Estimate(table.mean[row, i], table.sd[row, i], table.n[row, i])
            for skill, row in table.rows.items()
        }
        seconds = (latency_s or {}).get(name)
        effort = Effort(None, 10.0, seconds, 90.0)
        found.append(Profile(name, estimates.pop(OVERALL), estimates, effort))
    return found


@lru_cache(maxsize=64)
def world(seed: int, n: int) -> tuple[tuple[Expert, ...], Knowledge]:
    """``n`` experts of random competence, size and speed, and what is known of them."""
    rng = np.random.default_rng(seed)
    competence = {f"e{i}": rng.uniform(0.1, 0.95, len(SKILLS)).tolist() for i in range(n)}
    remembered = memory(competence, 210, seed=seed)
    latency = {name: float(rng.uniform(0.5, 4.0)) for name in competence}
    sizes = rng.choice([1.0, 3.0, 8.0, 70.0], n)
    experts = tuple(
        expert(name, active_params_b=float(size))
        for name, size in zip(competence, sizes, strict=True)
    )
    known = profiles_of(remembered, latency)
    return experts, Knowledge.of(known, name=f"world {seed}", memory=remembered)


def raised(knowledge: Knowledge, name: str, by: float) -> Knowledge:
    """The same knowledge, with one expert thought better of in everything."""

    def up(estimate: Estimate) -> Estimate:
        return replace(estimate, mean=min(estimate.mean + by, 1.0))

    old = knowledge.profiles[name]
    new = replace(old, overall=up(old.overall), skills={s: up(e) for s, e in old.skills.items()})
    others = [p for n, p in knowledge.profiles.items() if n != name]
    return Knowledge.of([*others, new], name=knowledge.name, memory=knowledge.memory)


def _vector(skill: str, rng: np.random.Generator) -> NDArray[np.float32]:
    vector = np.eye(len(SKILLS))[SKILLS.index(skill)] + rng.normal(0, 0.1, len(SKILLS))
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
