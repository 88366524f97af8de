"""With the strategy ``instruction`` a job decides as the live graph does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.types import (
    Completion,
    Grade,
    Health,
    Item,
    Question,
    Sampling,
    SkillWeight,
    Usage,
)
from orchestrator.graph import Services, decide, query_of
from orchestrator.inquiry import Inquiry
from orchestrator.jobs import record
from orchestrator.jobs.job import JobState
from orchestrator.roster import Roster, Snapshot
from skills.infer import Inferred

WORDS = ("french", "cat", "other")
ZOO = "The cat sleeps, the cat eats, the cat is a cat."


async def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """(texts, 3) how much of each is about French, cats, or anything else."""
    counts = [[text.lower().count(word) for word in WORDS[:2]] for text in texts]
    found = np.array([[*c, 0.0 if any(c) else 1.0] for c in counts], dtype=np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


class ByWords:
    """Infers the same skill of everything, and embeds by words."""

    async def infer_many(self, questions: Sequence[Question]) -> list[Inferred]:
        vectors = await embed([q.text for q in questions])
        return [Inferred((SkillWeight("a", 1.0, 0.5),), vector) for vector in vectors]

    async def infer(self, question: Question) -> Inferred:
        return (await self.infer_many([question]))[0]


@dataclass(frozen=True)
class Translations:
    """Prompts whose instruction says something else than what they are about."""

    name: str = "translations"
    secret: bool = False

    def items(self, split: str, limit: int | None = None) -> Sequence[Item]:
        asked = [
            Question.of(f"Translate into French: {ZOO}"),
            Question.of(ZOO, system="You speak French, and nothing else."),
            Question.of(f"Say what this is about, in a word: {ZOO}"),
            Question.of(ZOO),
            Question.of("What is 2 + 2?"),
        ]
        return [Item(f"t{i}", q, "", "") for i, q in enumerate(asked)]

    def grade(self, item: Item, output: str) -> Grade:
        return Grade(False, None)


@dataclass
class Prose:
    """An expert that says one and the same."""

    name: str

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        return Completion(self.name, "42", "stop", Usage(1, 1), 0.1)

    async def health(self) -> Health:
        return Health(True)


def described(world: Any, name: str, text: str) -> None:
    """An expert nobody has graded, of whom it is said what it is good at."""
    world.experts[name] = replace(world.experts[name], description=text)


async def live_routes(world: Any) -> list[dict[str, Any]]:
    knowledge = world.knowledge
    experts = list(world.experts.values())
    said = await world.ground(None).describe(experts)
    roster = Roster(world, Snapshot.of(experts, knowledge, said))
    services = Services(world.inference, roster, world.policy, embed=embed)
    found = []
    for item in world.task.items("test"):
        inquiry = Inquiry("x", "coterie", item.question, Sampling(), strategy="instruction")
        _, route = await decide(inquiry, await query_of(inquiry, services), services)
        found.append(record.route_record(route))
    return found


async def test_a_job_and_the_live_graph_decide_the_same(new_world: Any, jobs_kit: Any) -> None:
    names = ("ann", "bob", "fay", "kit")
    world = new_world(
        task=Translations(),
        engines={n: Prose(n) for n in names},
        inference=ByWords(),
        embed=embed,
    )
    described(world, "fay", "It translates into French.")
    described(world, "kit", "It knows every cat.")
    job = await world.add(strategy="instruction", experts=names)
    assert await world.run(job) is JobState.DONE
    stored = await world.items.items(job.id, 0, 100, secret=False)
    routes = [s.route for s in stored]
    assert routes == await live_routes(world)
    chances = [{c[0]: c[3] for c in route["candidates"]} for route in routes]
    assert chances[0]["fay"] > chances[2]["fay"], "what is asked for is compared"
    assert chances[1]["fay"] > chances[3]["fay"], "and so is a system message"
