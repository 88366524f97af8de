"""A world to run jobs in: a made-up task, experts that answer by rule, real stores."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie.db import Database, utcnow
from coterie.errors import EngineRejected, EngineTimeout
from coterie.types import (
    Completion,
    Estimate,
    Expert,
    ExpertKind,
    Grade,
    Health,
    Item,
    Profile,
    Question,
    Sampling,
    SkillWeight,
    Usage,
)
from evals.results import ItemResult
from orchestrator.descriptions import Descriptions, Embed
from orchestrator.jobs.ground import Ground
from orchestrator.jobs.item_store import ItemStore
from orchestrator.jobs.job import Job, JobSpec, JobState
from orchestrator.jobs.runner import Pace, Runner
from orchestrator.jobs.seal import Seal
from orchestrator.jobs.store import JobStore
from orchestrator.jobs.unit_store import UnitStore
from orchestrator.routing import Policy
from orchestrator.scheduling.patience import Patience
from orchestrator.workers.embedded import EmbeddedWorker, kept_up
from orchestrator.workers.worker import WorkerSettings
from skills.infer import Inferred
from skills.knowledge import Knowledge

OPTIONS = ("red", "green", "blue", "yellow")
PROSE = "Autumn leaves are falling down and nobody is here to see it but the old grey cat. " * 2
MARK = "zyzzyva"
"""A word of every question and every answer, to be looked for where it must not be."""


def hashed(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4])


@dataclass(frozen=True)
class ColourTask:
    """Made-up questions with four options, every third one open; the right answers are known."""

    size: int = 24
    secret: bool = False
    name: str = "colours"
    renamed: int | None = None

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        return [self._item(i) for i in range(self.size)][:limit]

    def _item(self, i: int) -> Item:
        id = f"c{i}" if i != self.renamed else "another"
        if i % 3 == 2:
            text = f"{MARK} {i}: write of autumn."
            return Item(id, Question.of(text), "leaves", "open")
        options = "\n".join(f"{'ABCD'[k]}. {o}" for k, o in enumerate(OPTIONS))
        text = f"{MARK} {i}: which colour?"
        shots = f"{MARK}: which one?\nA. one\nB. two\nAnswer: A\n\n"
        right = "ABCD"[hashed("right", i) % 4]
        question = Question.of(f"{shots}{text}\n{options}")
        return Item(id, question, right, "closed", text, OPTIONS)

    def grade(self, item: Item, output: str) -> Grade:
        if item.category == "open":
            return Grade(item.target in output, None)
        found = output.rstrip(".")[-1:]
        return Grade(found == item.target, found)


@dataclass
class Rules:
    """An engine that answers by a rule; counts what it was asked.

    ``refuses``: it fails where this is in the question.
    """

    name: str
    skill: float = 0.6
    refuses: str | None = None
    down: bool = False
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    samplings: list[Sampling] = field(default_factory=list)

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        await asyncio.sleep(0)
        self.asked[question.text, repr(sampling)] += 1
        self.samplings.append(sampling)
        if self.down:
            raise EngineTimeout(self.name, f"no answer to {question.text!r}")
        if self.refuses and self.refuses in question.text:
            raise EngineRejected(self.name, f"will not read {question.text!r}")
        return Completion(self.name, self._text(question), "stop", Usage(20, 5), 0.5)

    async def health(self) -> Health:
        return Health(True)

    def _text(self, question: Question) -> str:
        drawn = hashed(self.name, question.text)
        if "<answer" in question.text or "autumn" in question.text:
            return f"{PROSE} {MARK} leaves" if drawn % 100 < 100 * self.skill else f"{PROSE} {MARK}"
        number = int(question.text.split(f"{MARK} ")[1].split(":")[0])
        right = hashed("right", number) % 4
        wrong = (right + 1 + drawn % 3) % 4
        letter = "ABCD"[right if drawn % 100 < 100 * self.skill else wrong]
        return f"{MARK}. The answer is {letter}."


class ByLength:
    """Skill inference by a made-up rule; counts what it read."""

    def __init__(self) -> None:
        self.read = 0

    async def infer_many(self, questions: Sequence[Question]) -> list[Inferred]:
        self.read += len(questions)
        return [self._infer(q) for q in questions]

    async def infer(self, question: Question) -> Inferred:
        return self._infer(question)

    def _infer(self, question: Question) -> Inferred:
        share = (hashed(question.text) % 100) / 100
        skills = (SkillWeight("a", share, 0.5), SkillWeight("b", 1 - share, 0.5))
        return Inferred(skills, np.array([share, 1 - share], dtype=np.float32))


def profile(name: str, mean: float) -> Profile:
    drawn = (hashed(name) % 40) / 100 - 0.2
    skills = {"a": Estimate(mean + drawn, 0.05, 40), "b": Estimate(mean - drawn, 0.05, 40)}
    return Profile(name, Estimate(mean, 0.05, 80), skills)


AT_ONCE = WorkerSettings(beat_s=5.0, poll_s=0.001, retry_s=0.0, retry_most_s=0.001)
QUICK = Pace(page=5, poll_s=0.0, most_s=0.001, beat_s=0.001, republish_s=0.0)


@dataclass
class World:
    """Stores over one database, and what a job works with; ``engines`` are asked."""

    database: Database
    home: Path
    engines: dict[str, Rules]
    task: ColourTask
    knowledge: Knowledge
    policy: Policy = field(default_factory=Policy)
    inference: Any = field(default_factory=ByLength)
    embed: Embed | None = None
    pace: Pace = QUICK
    tries: int = 2
    enabled: bool = True

    def __post_init__(self) -> None:
        self.seal = Seal(self.home / "seal.key")
        self.jobs = JobStore(self.database)
        self.items = ItemStore(self.database, self.seal)
        self.units = UnitStore(self.database, self.seal, tries=self.tries)
        self.experts = {n: self.expert(n) for n in self.engines}

    @staticmethod
    def expert(name: str, **fields: Any) -> Expert:
        fields = {"model": name, "completion_price": 1e6, **fields}
        return Expert(name, ExpertKind.OPENAI, endpoint=f"http://x/{name}", **fields)

    def ground(self, queue: Any) -> Ground:
        async def knowledge(name: str | None) -> Knowledge:
            assert name in (None, self.knowledge.name)
            return self.knowledge

        return Ground(
            self.jobs,
            self.items,
            self.units,
            queue,
            self.inference,
            self.policy,
            lambda: self.experts,
            knowledge,
            Descriptions(self.embed).of,
            self.load_task,
            embed=self.embed,
        )

    def engine(self, name: str) -> Rules:
        return self.engines[name]

    async def load_task(self, spec: JobSpec) -> ColourTask:
        return self.task

    def patience(self) -> Patience:
        return Patience(first_s=0.0, most_s=0.001)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Ground]:
        """The ground, with somebody who does the work."""
        entries = tuple(self.experts.values())
        here = EmbeddedWorker(self.units, kept_up(self, lambda: entries), settings=AT_ONCE)
        worker = asyncio.create_task(here.run())
        try:
            yield self.ground(here.queue)
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)

    async def add(self, **fields: Any) -> Job:
        spec = JobSpec(**{"task": "colours", "strategy": "symbolic", **fields})
        now = utcnow()
        id = f"job-{hashed(spec, now):08x}"
        job = Job(id, spec, JobState.QUEUED, now, now)
        await self.jobs.add(job)
        return job

    async def run(self, job: Job, owner: str = "me", **kwargs: Any) -> JobState:
        """Takes the job and runs it."""
        assert await self.jobs.take(job.id, owner)
        async with self.working() as ground:
            runner = Runner(
                ground,
                await self.jobs.get(job.id),
                owner,
                pace=self.pace,
                patience=self.patience(),
                **kwargs,
            )
            return await runner.run()

    async def results(self, job: Job) -> list[ItemResult]:
        return list((await self.items.results(job.id, limit=100_000)).values())

    @property
    def asked(self) -> Counter[tuple[str, str, str]]:
        """How often each expert was asked each question with each sampling."""
        return Counter(
            {(e.name, *what): n for e in self.engines.values() for what, n in e.asked.items()}
        )


MakeWorld = Callable[..., World]


def make_world(database: Database, home: Path, **fields: Any) -> World:
    rates = {"ann": 0.7, "bob": 0.65, "cyd": 0.6, "dan": 0.5}
    given: dict[str, Any] = {
        "engines": {n: Rules(n, r) for n, r in rates.items()},
        "task": ColourTask(),
        "knowledge": Knowledge.of([profile(n, r) for n, r in rates.items()], name="made-up"),
        **fields,
    }
    return World(database, home, **given)


@pytest.fixture
def new_world(sqlite_database: Database, tmp_path: Path) -> MakeWorld:
    """Makes worlds over one SQLite database."""
    return lambda **fields: make_world(sqlite_database, tmp_path, **fields)


@pytest.fixture
def other_url(_migrated_file: Path, tmp_path: Path) -> str:
    """Another database."""
    shutil.copy(_migrated_file, tmp_path / "other.sqlite")
    return f"sqlite:///{tmp_path}/other.sqlite"


@pytest.fixture
async def other_database(other_url: str) -> AsyncIterator[Database]:
    database = Database(other_url)
    yield database
    await database.close()


@pytest.fixture
def world(new_world: MakeWorld) -> World:
    return new_world()


@dataclass(frozen=True)
class Kit:
    """What tests of jobs build with."""

    task: type[ColourTask] = ColourTask
    rules: type[Rules] = Rules
    world: Callable[..., World] = make_world
    mark: str = MARK


@pytest.fixture
def jobs_kit() -> Kit:
    return Kit()
