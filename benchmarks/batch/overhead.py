"""What a job costs an item beside the models' time: engines here answer at once.

    python benchmarks/batch/overhead.py [--items 2000] [--experts 4] [--strategy all] [--url URL]

Prints milliseconds an item by stage, those of the processor (which a busy machine leaves alone),
and the memory in use after each tenth of the items: it must not grow with them.  Questions are made
when they are looked at, as a task that reads a file would.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import psutil

from coterie.db import Database, utcnow
from coterie.types import (
    Completion,
    Estimate,
    Expert,
    ExpertKind,
    Grade,
    Item,
    Profile,
    Question,
    Sampling,
    SkillWeight,
    Usage,
)
from orchestrator import schema
from orchestrator.jobs.ground import Ground
from orchestrator.jobs.item_store import ItemStore
from orchestrator.jobs.job import Job, JobSpec, JobState
from orchestrator.jobs.progress import JobProgress
from orchestrator.jobs.runner import Runner
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.store import JobStore
from orchestrator.jobs.unit_store import UnitStore
from orchestrator.routing import Policy
from orchestrator.workers.embedded import EmbeddedWorker, kept_up
from skills.infer import Inferred
from skills.knowledge import Knowledge

OPTIONS = tuple(f"the option called {letter}" for letter in "ABCDEFGHIJ")
LISTED = "\n".join(f"{letter}. {o}" for letter, o in zip("ABCDEFGHIJ", OPTIONS, strict=True))
SHOTS = "A worked example of a question, with a chain of thought that leads to its answer.\n" * 60


class Made(Sequence[Item]):
    """Items that are made when they are looked at."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self._item(i) for i in range(*at.indices(self._size))]
        return self._item(at)

    def _item(self, i: int) -> Item:
        text = f"Question {i}: which of the options is it?"
        question = Question.of(f"{text}\n{LISTED}", system=SHOTS)
        return Item(f"q{i}", question, "A", "made", text, OPTIONS)


class MadeTask:
    """Questions without end."""

    name, secret = "made", False

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        return Made(limit or 0)

    def grade(self, item: Item, output: str) -> Grade:
        return Grade(output.endswith(f"{item.target}."), output[-2:-1])


class AtOnce:
    """Answers at once, as one of three would."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        # Not hash(): who is asked besides, and who writes, must be the same in every run.
        letter = "ABC"[crc32(f"{self._name}{question.text}".encode()) % 3]
        text = "Let us think step by step. " * 40 + f"The answer is {letter}."
        return Completion(self._name, text, "stop", Usage(1500, 300), 1.0)


class Engines:
    """All of them, always up."""

    def engine(self, name: str) -> AtOnce:
        return AtOnce(name)


class Vectors:
    """Skills and a vector for any question, at once."""

    async def infer_many(self, questions: Sequence[Question]) -> list[Inferred]:
        vector = np.full(384, 384**-0.5, dtype=np.float32)
        return [Inferred((SkillWeight("a", 1.0, 0.5),), vector) for _ in questions]

    async def infer(self, question: Question) -> Inferred:
        return (await self.infer_many([question]))[0]


def ground(database: Database, home: Path, experts: Sequence[str]) -> tuple[Ground, EmbeddedWorker]:
    seal = Seal(home / "seal.key")
    units = UnitStore(database, seal)
    entries = {n: Expert(n, ExpertKind.OPENAI, n, endpoint=f"http://x/{n}") for n in experts}
    here = EmbeddedWorker(units, kept_up(Engines(), lambda: tuple(entries.values())))
    rate = Estimate(0.6, 0.05, 100)
    known = Knowledge.of([Profile(n, rate, {"a": rate}) for n in experts], name="made")

    async def knowledge(name: str | None) -> Knowledge:
        return known

    async def describe(experts: Sequence[Expert]) -> Mapping[str, Any]:
        return {}

    async def load_task(spec: JobSpec) -> MadeTask:
        return MadeTask()

    made = Ground(
        JobStore(database),
        ItemStore(database, seal),
        units,
        here.queue,
        Vectors(),
        Policy(),
        lambda: entries,
        knowledge,
        describe,
        load_task,
    )
    return made, here


async def measure(args: argparse.Namespace, home: Path) -> dict[str, Any]:
    url = args.url or f"sqlite:///{home}/jobs.sqlite"
    await schema.upgrade(url)
    database = Database(url)
    made, here = ground(database, home, [f"e{i:02d}" for i in range(args.experts)])
    now = utcnow()
    spec = JobSpec("made", args.strategy, limit=args.items)
    job = Job(f"job-{now:%H%M%S%f}", spec, JobState.QUEUED, now, now)
    await made.jobs.add(job)
    await made.jobs.take(job.id, "me")
    process, memory = psutil.Process(), list[float]()

    def tell(progress: JobProgress) -> None:
        if progress.finished * 10 >= (len(memory) + 1) * args.items:
            memory.append(process.memory_info().rss / 2**20)

    working = asyncio.create_task(here.run())
    before, began = process.memory_info().rss / 2**20, time.perf_counter()
    cpu = time.process_time()
    runner = Runner(made, await made.jobs.get(job.id), "me", tell=tell)
    state = await runner.run()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    progress = runner.progress
    calls = sum(e.done for e in progress.experts.values())
    await database.close()
    return {
        "state": str(state),
        "items": args.items,
        "calls": calls,
        "ms_per_item": round(took * 1000 / args.items, 3),
        "cpu_ms_per_item": round(cpu * 1000 / args.items, 3),
        "ms_per_call": round(took * 1000 / calls, 3),
        "ms_per_item_by_stage": {
            name: round(s * 1000 / args.items, 3) for name, s in progress.seconds.items()
        },
        "mib_before": round(before),
        "mib_by_tenth": [round(m) for m in memory],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--strategy", default="symbolic")
    parser.add_argument("--url", default=None, help="a database; SQLite in a new folder if not")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(measure(args, Path(folder))), indent=2))


if __name__ == "__main__":
    main()
