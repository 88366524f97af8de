"""A made-up recording, and an encoder without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie.types import Reading, Skill
from evals.record import RecordedAnswer, RecordedQuestion, write_recording
from evals.recorded import load_recording
from orchestrator.replay.material import Material, study
from skills.infer import EmbeddingInference

TAXONOMY = (Skill("algebra", "algebra"), Skill("history", "history"))
EXPERTS = ("ann", "bob", "cy", "dee", "eve")
RATES = {"algebra": (0.9, 0.2, 0.5, 0.6, 0.4), "history": (0.1, 0.8, 0.5, 0.4, 0.6)}


class Letters:
    """An encoder without weights: texts are near when they share letters."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counts = [[t.lower().count(chr(97 + i)) for i in range(26)] for t in texts]
        rows = np.array(counts, float).reshape(len(texts), 26)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-9), dtype=np.float32)


def questions(val: int, test: int) -> list[RecordedQuestion]:
    rng = np.random.default_rng(1)
    return [
        RecordedQuestion(
            f"q{i:03d}",
            f"{topic} {''.join(rng.choice(list('abcdefghijklmno'), 6))}",
            str(rng.choice(list("ABCD"))),
            "val" if i < val else "test",
            topic,
            ("one", "two", "three", "four"),
            group=f"g{i // 2}",
        )
        for i in range(val + test)
        for topic in (str(rng.choice(["algebra", "history"])),)
    ]


def answers(asked: Sequence[RecordedQuestion], *, read: bool) -> list[RecordedAnswer]:
    rng = np.random.default_rng(2)
    found = []
    for question in asked:
        for expert, rate in zip(EXPERTS, RATES[question.category], strict=True):
            right = rng.random() < rate
            wrong = str(rng.choice([x for x in "ABCD" if x != question.answer]))
            mute = not right and rng.random() < 0.2
            pred = None if mute else question.answer if right else wrong
            reading = Reading.NOTHING if mute else Reading(int(rng.integers(1, 4)))
            length = int(rng.integers(5, 50))
            if rng.random() < 0.9:
                row = (pred, right, reading) if read else (None, right, None)
                found.append(RecordedAnswer(question.id, expert, *row, 10, length))
    return found


@dataclass(frozen=True)
class Recorder:
    """Makes recordings of five experts, each with its own strength."""

    home: Path

    def folder(self, name: str = "recorded", *, val: int = 60, test: int = 40, **how: bool) -> Path:
        """A folder; with ``read=False`` only correctness is recorded."""
        asked = questions(val, test)
        write_recording(
            self.home / name,
            benchmark="made_up",
            questions=asked,
            answers=answers(asked, read=how.get("read", True)),
            parameters={e: (10.0 * i, 1.0 * i) for i, e in enumerate(EXPERTS, 1)},
        )
        return self.home / name

    def material(self, folder: Path, experts: Sequence[str] | None = None) -> Material:
        """What is replayed."""
        inference = EmbeddingInference(TAXONOMY, Letters())
        return study(load_recording(folder, benchmark="made_up", experts=experts), inference)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    pytest.importorskip("pyarrow", reason="needs coterie[replay]")
    return Recorder(tmp_path)


@pytest.fixture
def material(recorder: Recorder) -> Material:
    return recorder.material(recorder.folder())


@pytest.fixture
def encoder() -> type[Letters]:
    return Letters
