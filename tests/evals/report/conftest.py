"""Made-up runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from evals.results import Call, ItemResult, RunInfo, RunResult

Make = Callable[..., RunResult]

EXPERTS = ("ann", "bob", "cem")
SKILL = {"ann": 0.6, "bob": 0.5, "cem": 0.35}
PRICE = {"ann": 4e-6, "bob": 1e-6, "cem": 0.5e-6}


def answer(expert: str, right: bool, draw: random.Random, **more: Any) -> Call:
    tokens = draw.randint(80, 400)
    return Call(
        expert,
        correct=right,
        extracted="A" if right else draw.choice("BCD"),
        prompt_tokens=120,
        completion_tokens=tokens,
        cost_usd=tokens * PRICE.get(expert, 0.0),
        latency_s=tokens / 50,
        **more,
    )


def everybody_asked(
    n: int = 200,
    *,
    seed: int = 0,
    id: str = "run-1",
    strategy: str = "symbolic",
    experts: Sequence[str] = EXPERTS,
    categories: Sequence[str] = ("law", "maths", "physics"),
    **info: Any,
) -> RunResult:
    """A run in which all experts answer all questions, and the first right answer stands."""
    draw = random.Random(seed)
    items = []
    for i in range(n):
        calls = tuple(answer(e, draw.random() < SKILL.get(e, 0.5), draw) for e in experts)
        right = any(c.correct for c in calls) and draw.random() < 0.9
        items.append(
            ItemResult(
                f"q{i}",
                categories[i % len(categories)],
                right,
                "A" if right else "B",
                leader=calls[0].expert,
                expected=draw.random(),
                agreement=draw.random(),
                calls=calls,
            )
        )
    settings = {"policy": {"k": 3}, "sampling": {"temperature": 0.7, "seed": 7}}
    told: dict[str, Any] = {
        "settings": settings,
        "versions": {"coterie": "0.1.0", "vllm": "0.32.0"},
        "seconds": {"load": 40.0, "generate": 300.5, "aggregate": 12.0},
        "loads": dict.fromkeys(experts, 1),
        "started": "2026-11-24T10:00:00+00:00",
        "finished": "2026-11-24T10:06:30+00:00",
    }
    return RunResult(
        RunInfo(id, "made-up", "test", strategy, tuple(experts), 3, **{**told, **info}),
        tuple(items),
    )


@pytest.fixture(scope="session")
def make_run() -> Make:
    return everybody_asked
