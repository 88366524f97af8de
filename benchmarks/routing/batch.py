"""How long it takes to route a million questions among 64 experts with 4,000 skills, on one core.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/routing/batch.py [--questions N] [--json FILE]

The method is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coterie.types import OVERALL, Expert, ExpertKind, SkillWeight
from orchestrator.routing.base import Pool, Query, rank
from orchestrator.routing.batch import CHUNK, route_batch
from skills.knowledge import Knowledge, Table

EXPERTS, SKILLS, PER_QUESTION, K = 64, 4000, 3, 5
SAMPLE = 2000
"""Questions whose experts are compared to the online ranking's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rng = np.random.default_rng(0)
    table = a_table(rng)
    rows = rng.integers(1, SKILLS + 1, size=(args.questions, PER_QUESTION), dtype=np.int32)
    weights = rng.dirichlet(np.ones(PER_QUESTION), args.questions)
    before = peak_gb()
    bound_s = gather(rows, table.mean)
    started = time.perf_counter()
    chosen = route_batch(rows, weights, table, K)
    took_s = time.perf_counter() - started
    figures = {
        "questions": args.questions,
        "experts": EXPERTS,
        "skills": SKILLS,
        "k": K,
        "seconds": took_s,
        "bound_seconds": bound_s,
        "questions_per_second": args.questions / took_s,
        "peak_gb": peak_gb(),
        "peak_gb_before": before,
        "differ_from_online": differ(rows, weights, table, chosen),
    }
    for name, value in figures.items():
        print(f"{name:22} {value:,.3f}" if isinstance(value, float) else f"{name:22} {value:,}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


def gather(rows: NDArray[np.int32], mean: NDArray[np.float64]) -> float:
    """Seconds to read the same rows of the same table, chunk by chunk, and nothing else."""
    into = np.empty((CHUNK, mean.shape[1]))
    started = time.perf_counter()
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        for slot in range(part.shape[1]):
            mean.take(part[:, slot], axis=0, out=into[: len(part)], mode="clip")
    return time.perf_counter() - started


def differ(
    rows: NDArray[np.int32],
    weights: NDArray[np.float64],
    table: Table,
    chosen: NDArray[np.int32],
) -> int:
    """How many of a sample are routed otherwise than one by one."""
    knowledge = Knowledge()
    knowledge.once(("table", table.experts), lambda: table)
    pool = Pool([an_expert(name) for name in table.experts], knowledge)
    names = list(table.rows)
    wrong = 0
    for q in range(min(SAMPLE, len(rows))):
        skills = tuple(
            SkillWeight(names[row], float(weight), 1.0)
            for row, weight in zip(rows[q], weights[q], strict=True)
        )
        wrong += list(rank(Query(skills), pool).columns[:K]) != chosen[q].tolist()
    return wrong


def an_expert(name: str) -> Expert:
    return Expert(name, ExpertKind.OPENAI, name, endpoint=f"http://127.0.0.1:1/{name}")


def a_table(rng: np.random.Generator) -> Table:
    """Rates in steps of a twentieth, so that ties are frequent; row 0 is the overall rate."""
    shape = (SKILLS + 1, EXPERTS)
    names = tuple(f"expert-{i:02}" for i in range(EXPERTS))
    skills = {OVERALL: 0, **{f"skill-{i:04}": i for i in range(1, SKILLS + 1)}}
    mean = rng.integers(0, 21, size=shape) / 20
    return Table(names, skills, mean, np.full(shape, 0.1), np.full(shape, 20.0))


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
