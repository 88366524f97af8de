"""How long one scheduling decision takes: 64 experts, 8 GPUs, all of them wanted.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/scheduling/decision.py [--decisions N] [--json F]

The method is in README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.scheduling.cluster import Cluster, EngineFigures, Gpu
from orchestrator.scheduling.placement import place
from orchestrator.scheduling.planner import next_step
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.situation import Demand, Resident, Situation

EXPERTS, GPUS = 64, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=4000)
    parser.add_argument("--json", type=Path, help="write every figure here")
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    draw = random.Random(0)
    engines = tuple(
        EngineFigures(f"e{i:02}", gpu_gb=draw.choice([18, 36]), asleep_gb=16, residue_gb=0.7)
        for i in range(EXPERTS)
    )
    situations = [a_situation(engines, draw) for _ in range(args.decisions)]
    cluster = Cluster(engines, tuple(Gpu(f"g{i}", 80) for i in range(GPUS)))
    started = time.perf_counter()
    place(cluster, situations[0].demand)
    place_ms = (time.perf_counter() - started) * 1e3
    figures = {
        **{f"decision_{k}": v for k, v in timed(next_step, situations).items()},
        **{f"bound_{k}": v for k, v in timed(bound, situations).items()},
        "placement_ms": place_ms,
    }
    for name, value in figures.items():
        print(f"{name:22} {value:10.4f}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))


def timed(decide: Callable[[Situation], object], situations: list[Situation]) -> dict[str, float]:
    """Milliseconds of a call, after a tenth of them to warm up."""
    took = []
    for situation in situations:
        started = time.perf_counter()
        decide(situation)
        took.append((time.perf_counter() - started) * 1e3)
    took = sorted(took[len(took) // 10 :])
    return {"p50_ms": took[len(took) // 2], "p99_ms": took[int(len(took) * 0.99)]}


def bound(situation: Situation) -> object:
    """Reads every figure that a decision depends on, once, and sorts the wanted."""
    demand = {d.expert: d for d in situation.demand}
    tier = {name: r.tier for name, r in situation.residents.items()}
    rows = [
        (tier.get(e.name, Tier.STOPPED), e.gpu_gb, demand[e.name].waited_s, e.name)
        for e in situation.engines
        if e.name in demand
    ]
    return sorted(rows)


def a_situation(engines: tuple[EngineFigures, ...], draw: random.Random) -> Situation:
    """Two engines answer, six sleep, seven GPUs hold others; everyone has work, some online."""
    here = draw.sample([e for e in engines if e.gpu_gb == 18], 2)
    rest = [e for e in engines if e not in here]
    asleep = draw.sample(rest, 6)
    held = draw.sample([e.name for e in rest if e not in asleep], 2 * (GPUS - 1))
    residents = {e.name: Resident(Tier.AWAKE, running=64, drain_s=10) for e in here}
    residents |= {e.name: Resident(Tier.ASLEEP_1, idle_s=draw.uniform(0, 900)) for e in asleep}
    demand = tuple(
        Demand(e.name, draw.randint(1, 500), waited_s=draw.uniform(0, 60), online=online, bound_s=b)
        for e in engines
        for online, b in ((False, float("inf")), *([(True, 90.0)] if draw.random() < 0.2 else []))
    )
    return Situation(Gpu("g0", 80), engines, residents, demand, 256, frozenset(held))


if __name__ == "__main__":
    main()
