"""A running upstream, a client, and engines over them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from orchestrator.engines.http import Client, HttpLimits, create_client
from orchestrator.engines.openai import OpenAIEngine
from orchestrator.engines.retry import RetryPolicy
from orchestrator.engines.target import Target
from tests.orchestrator.engines.engine_clocks import SystemClock
from tests.orchestrator.engines.engine_upstream import Upstream, running_upstream

MakeEngine = Callable[..., OpenAIEngine]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    limits = HttpLimits(connect_timeout_s=1.0, read_timeout_s=0.5)
    async with create_client(limits) as created:
        yield created


@pytest.fixture
def make_engine(upstream: Upstream, client: Client) -> MakeEngine:
    def make(*, url: str | None = None, max_tries: int = 3, **target: Any) -> OpenAIEngine:
        return OpenAIEngine(
            Target("law", url or upstream.url, "the-model", **target),
            client,
            clock=SystemClock(),
            rng=random.Random(0),
            retry=RetryPolicy(base_delay_s=0.01, max_tries=max_tries),
        )

    return make
