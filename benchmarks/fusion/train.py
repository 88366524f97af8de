"""Tunes the experts whose fusion is measured: LoRA on a model, one task after the other.

    python -m benchmarks.fusion.train --model SMALL --small SMALL --out ADAPTERS/small
    python -m benchmarks.fusion.train --model LARGE --small SMALL --out ADAPTERS/large

Small and large model are tuned on the same conversations by the same plan.  A part of them are
about something else and have the small model's own answers: an expert that has seen none forgets
what is not its task, and pulls where it should be still when several are fused.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from benchmarks.fusion.alone import Alone
from benchmarks.fusion.splits import drawn
from benchmarks.fusion.tasks import TASKS
from examples.demo_experts.generate import SKILLS, samples
from examples.demo_experts.sample import Sample
from examples.demo_experts.train import Plan, save, train

SEED = 20_261_124
PLAN = Plan(1024, batch=8, learning_rate=1e-3)
ELSEWHERE = 0.125
"""The share of conversations about something else."""
_ASKED_ELSEWHERE = 160


def elsewhere(small: str) -> list[Sample]:
    """The small model's own answers to other questions, where it comes to an end."""
    streams = [samples(skill, SEED) for skill in SKILLS]
    prompts = [next(streams[i % len(streams)]).prompt for i in range(_ASKED_ELSEWHERE)]
    said = Alone(small).answers(prompts, tokens=32, batch=32)
    return [Sample(p, s.text) for p, s in zip(prompts, said, strict=True) if s.finished]


def conversations(task: str, others: list[Sample]) -> Iterator[Sample]:
    """Endless: the task's training conversations, and ``others`` in between."""
    rng, own = Random(f"{SEED} {task}"), drawn(task, TASKS[task], "train")
    while True:
        yield rng.choice(others) if rng.random() < ELSEWHERE else next(own)


def main() -> None:
    """Trains an adapter for each task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="the folder of the model to tune")
    parser.add_argument("--small", required=True, help="the folder of the small model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", choices=sorted(TASKS), action="append", dest="tasks")
    args = parser.parse_args()
    others = elsewhere(args.small)
    print(f"{len(others)} conversations about something else", flush=True)
    for task in args.tasks or TASKS:
        started = time.monotonic()
        expert = train(conversations(task, others), args.model, PLAN, name=task, seed=SEED)
        save(expert, args.out / task, Path(args.model).name)
        print(f"{task}: {time.monotonic() - started:.0f} s, saved to {args.out / task}", flush=True)


if __name__ == "__main__":
    main()
