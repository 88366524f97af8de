"""Pools whose experts remember questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from coterie.types import Expert, ExpertKind, Profile
from orchestrator.routing import Pool
from skills.knowledge import Knowledge
from skills.memory import Memory
from skills.profile import beta_estimate


@pytest.fixture(scope="session")
def make_pool() -> Callable[..., Pool]:
    """Makes the pool of a memory's experts; ``sizes`` are parameters in billions, by expert."""

    def make(memory: Memory | None, names: Sequence[str], sizes: Sequence[float] = ()) -> Pool:
        experts = [
            Expert(
                name,
                ExpertKind.OPENAI,
                name,
                endpoint=f"http://127.0.0.1:1/{name}",
                total_params_b=size,
                active_params_b=size,
            )
            for name, size in zip(names, sizes or [1.0] * len(names), strict=True)
        ]
        overall = [
            Profile(e.name, beta_estimate(5 + i, 10 + i, prior_mean=0.5, prior_n=2))
            for i, e in enumerate(experts)
        ]
        return Pool(experts, Knowledge.of(overall, name="test", memory=memory))

    return make
