"""How long one routing decision takes, for every strategy on offer: 64 experts, skills known.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/routing/decision.py [--decisions N] [--json FILE]

The method is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coterie.types import Estimate, Expert, ExpertKind, Profile, SkillWeight
from orchestrator.routing import OFFERED, Policy, Pool, Query, load_router
from skills.knowledge import Knowledge
from skills.memory import Memory

EXPERTS, SKILLS, QUESTIONS, DIMENSION, CATEGORIES = 64, 4000, 2500, 384, 14


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=5000, help="timed, for each strategy")
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    pool, queries = a_pool(rng), some_queries(rng, args.decisions)
    figures = {"bound": percentiles("", [gathers(pool, query) for query in queries])}
    for name in OFFERED:
        figures[name] = measure(name, pool, queries)
    columns = list(figures["symbolic"])
    print(f"| strategy | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for name, found in figures.items():
        cells = (f"{found[column]:.4f}" if column in found else "–" for column in columns)
        print(f"| {name} | {' | '.join(cells)} |")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


def measure(name: str, pool: Pool, queries: Sequence[Query]) -> dict[str, float]:
    """Seconds to prepare, then milliseconds: of decisions, and of decisions with their reasons."""
    router, policy = load_router(name), Policy()
    started = time.perf_counter()
    router.prepare(pool, policy)
    prepared = time.perf_counter() - started
    for query in queries[:500]:  # warm
        router.route(query, pool, policy)
    decided, explained = [], []
    for query in queries:
        start = now()
        route = router.route(query, pool, policy)
        decided.append(now() - start)
        _ = [candidate.reason for candidate in route.candidates[: len(route.chosen)]]
        explained.append(now() - start)
    return {
        "prepare s": prepared,
        **percentiles("", decided),
        **percentiles("with reasons ", explained),
    }


def gathers(pool: Pool, query: Query) -> NDArray[np.float64]:
    """What any ranking by skills must do at least takes: read, sum, sort."""
    rows = [pool.table.rows[s.skill] for s in query.skills]
    weights = np.array([s.weight for s in query.skills])
    start = now()
    np.argsort(-(weights @ pool.table.mean[rows]))
    return now() - start


def now() -> NDArray[np.float64]:
    """Seconds on the wall, and of this thread's own work."""
    return np.array([time.perf_counter(), time.thread_time()])


def percentiles(label: str, seconds: Sequence[NDArray[np.float64]]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds, and the latter of the thread's own work."""
    wall, own = (np.array(seconds) * 1000).T
    return {
        f"{label}p50 ms": float(np.percentile(wall, 50)),
        f"{label}p99 ms": float(np.percentile(wall, 99)),
        f"{label}own p99 ms": float(np.percentile(own, 99)),
    }


# --- what is routed -----------------------------------------------------------------------------


def a_pool(rng: np.random.Generator) -> Pool:
    """Experts with a profile at every skill, and a memory of graded, embedded questions."""
    experts = [
        Expert(
            f"expert-{i:02}",
            ExpertKind.OPENAI,
            f"m{i}",
            endpoint=f"http://127.0.0.1:1/{i}",
            total_params_b=float(size),
            active_params_b=float(size),
        )
        for i, size in enumerate(rng.choice([3, 7, 14, 32, 70], EXPERTS))
    ]
    profiles = [a_profile(expert.name, rng) for expert in experts]
    memory = a_memory([expert.name for expert in experts], rng)
    return Pool(experts, Knowledge.of(profiles, name="benchmark", memory=memory))


def a_profile(name: str, rng: np.random.Generator) -> Profile:
    rates = rng.beta(4, 4, SKILLS)
    skills = {skill(i): Estimate(float(p), 0.1, 20.0) for i, p in enumerate(rates)}
    return Profile(name, Estimate(float(rates.mean()), 0.01, 2500.0), skills)


def a_memory(names: Sequence[str], rng: np.random.Generator) -> Memory:
    """Categories are directions in the space of embeddings; nine of ten answers were graded."""
    category = rng.integers(CATEGORIES, size=QUESTIONS)
    centres = units(rng.normal(size=(CATEGORIES, DIMENSION)))
    chance = rng.beta(4, 4, (CATEGORIES, len(names)))[category]
    correct = (rng.random(chance.shape) < chance).astype(np.float32)
    correct[rng.random(chance.shape) < 0.1] = np.nan
    return Memory(
        experts=tuple(names),
        items=tuple(f"q{i}" for i in range(QUESTIONS)),
        categories=tuple(f"category-{c:02}" for c in category),
        skills=tuple(some_skills(rng) for _ in range(QUESTIONS)),
        vectors=units(centres[category] + 0.08 * rng.normal(size=(QUESTIONS, DIMENSION))),
        options=np.full(QUESTIONS, 10, dtype=np.int16),
        correct=correct,
        answers=np.full(correct.shape, "A"),
        readings=np.ones(correct.shape, dtype=np.int8),
        tokens=np.full(correct.shape, 300, dtype=np.float32),
    )


def some_queries(rng: np.random.Generator, n: int) -> list[Query]:
    vectors = units(rng.normal(size=(n, DIMENSION)))
    return [Query(some_skills(rng), f"question {i}", vectors[i], 10) for i in range(n)]


def some_skills(rng: np.random.Generator) -> tuple[SkillWeight, ...]:
    """One to three of them."""
    picked = rng.choice(SKILLS, int(rng.integers(1, 4)), replace=False)
    shares = rng.dirichlet(np.ones(len(picked)))
    return tuple(
        SkillWeight(skill(int(i)), float(w), 0.5) for i, w in zip(picked, shares, strict=True)
    )


def skill(i: int) -> str:
    return f"skill-{i:04}"


def units(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    main()
