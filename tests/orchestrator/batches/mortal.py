"""A server that answers batches until it is killed: ``python mortal.py HOME LOG PAUSE_S``.

Its experts write down what they are asked, each in one line, before they answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coterie.types import Completion, Expert, Health, Question, Sampling, SkillWeight, Usage
from orchestrator.bootstrap import build
from orchestrator.jobs.runner import Pace
from orchestrator.settings import Settings
from skills.infer import Inferred

EXPERTS = ("ann", "bob")


@dataclass(frozen=True)
class Noting:
    name: str
    log: Path
    pause_s: float

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        with self.log.open("a") as file:
            file.write(f"{self.name} {question.text}\n")
        await asyncio.sleep(self.pause_s)
        message = {"role": "assistant", "content": f"{self.name}: {question.text}"}
        return Completion(self.name, message["content"], "stop", Usage(5, 3), 0.01, message)

    async def health(self) -> Health:
        return Health(True)


class Fleet:
    def __init__(self, engines: Sequence[Noting]) -> None:
        self._engines = {e.name: e for e in engines}

    def engine(self, name: str) -> Any:
        return self._engines[name]

    async def sync(self, experts: Sequence[Expert]) -> None:
        pass

    async def health(self) -> Mapping[str, Health]:
        return {n: Health(True) for n in self._engines}

    async def probe(self, expert: Expert) -> Health:
        return Health(True)

    def describe(self) -> Sequence[object]:
        return []


class OneSkill:
    async def infer(self, question: Question) -> Inferred:
        return Inferred((SkillWeight("sql", 1.0, 0.7),), np.array([0.6, 0.8], dtype=np.float32))


def settings_of(home: Path) -> Settings:
    entries = [
        {"name": n, "kind": "openai", "model": n, "endpoint": f"http://127.0.0.1:9/{n}"}
        for n in EXPERTS
    ]
    (home / "experts.yaml").write_text(json.dumps({"experts": entries}))
    return Settings.load(
        {
            "COTERIE_HOME": str(home),
            "COTERIE_CONFIG": str(home / "experts.yaml"),
            "DATABASE_URL": f"sqlite:///{home}/coterie.sqlite",
        }
    )


async def serve(home: Path, log: Path, pause_s: float) -> None:
    fleet: Any = Fleet([Noting(n, log, pause_s) for n in EXPERTS])
    async with build(settings_of(home), fleet=fleet, inference=OneSkill()) as parts:
        parts.jobs._pace = Pace(page=16, poll_s=0.01, beat_s=0.05, republish_s=0.05)
        parts.batches._look_s = 0.02
        parts.jobs.start()
        parts.batches.start()
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))
