"""The live graph and a deliberation over stored replies come to the same, whoever fails."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.acceptance import says_something
from coterie.errors import EngineTimeout
from coterie.types import Completion, Failure, Sampling, Usage
from orchestrator.deliberation import (
    AGGREGATE,
    ANSWER,
    Ask,
    Matter,
    Missing,
    Settled,
    deliberate,
)
from orchestrator.graph import Coterie, Services, decide, query_of
from orchestrator.inquiry import Inquiry
from orchestrator.routing import Policy

PROSE = "Autumn leaves are falling down and nobody is here to see it but the old grey cat. " * 2
NAMES = "abcdef"
SAID = st.sampled_from(["1", "2", "3", PROSE, '{"n": 1}', "", " \n", None])
"""What an expert says; None: it fails."""
RATES = st.sampled_from([0.3, 0.5, 0.55, 0.6, 0.95])
FORMATS = st.sampled_from(
    [
        None,
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"schema": {"required": ["n"]}}},
    ]
)
UNDER = st.sampled_from([None, 0.0, 0.6, 1.0])


@dataclass(frozen=True)
class Case:
    """What everybody says when asked, and when asked to write, and what decides between them."""

    said: list[str | None]
    written: list[str | None]
    rates: list[float]
    policy: Policy
    response_format: Any


async def both(kit: Any, strategy: str, case: Case) -> None:
    sampling = Sampling(extra={"response_format": case.response_format})
    inquiry = kit.inquiry(strategy=strategy, sampling=sampling)
    services = Services(kit.inference(), roster_of(kit, case), case.policy)
    query = await query_of(inquiry, services)
    pool, route = await decide(inquiry, query, services)
    matter = Matter(
        inquiry.question,
        query,
        pool,
        route,
        services.policy,
        sampling=sampling,
    )
    stored: dict[tuple[str, str], Completion | Failure] = {}
    while isinstance(
        found := deliberate(matter, lambda a: stored.get((a.expert, a.role))), Missing
    ):
        for ask in found.asks:
            assert (ask.expert, ask.role) not in stored
            stored[ask.expert, ask.role] = await answered(services.roster, ask)
    assert isinstance(found, Settled)
    for engine_only in (False, True):
        services = Services(kit.inference(), roster_of(kit, case), case.policy)
        await same(found, Coterie(services, engine_only=engine_only), inquiry)


async def same(found: Settled, live: Coterie, inquiry: Inquiry) -> None:
    if found.error is not None:
        with pytest.raises(type(found.error), match=re.escape(str(found.error))):
            await live.run(inquiry)
        return
    outcome = await live.run(inquiry)
    assert found.answer == outcome.answer
    assert found.answer is not None
    assert says_something(found.answer)
    assert found.verdict == outcome.verdict
    completions = [r for a, r in found.heard if a.role == ANSWER and isinstance(r, Completion)]
    assert tuple(r for r in completions if says_something(r)) == outcome.completions
    spent = [r.usage for _, r in found.heard if isinstance(r, Completion)]
    assert sum(spent, Usage()) == outcome.usage
    written = [a.expert for a, _ in found.heard if a.role == AGGREGATE]
    aggregation = outcome.aggregation
    asked = [] if aggregation is None else [f.expert for f in aggregation.failures]
    asked += [aggregation.writer] if aggregation and aggregation.writer else []
    assert written == asked


def roster_of(kit: Any, case: Case) -> Any:
    engines = []
    for name, said, written in zip(NAMES, case.said, case.written, strict=True):
        first, then = (
            kit.engine(n, t or "", error=EngineTimeout(n, "no answer") if t is None else None)
            for n, t in ((name, said), (name, written))
        )
        first.then = then
        engines.append(first)
    return kit.roster(engines, dict(zip(NAMES, case.rates, strict=True)))


async def answered(roster: Any, ask: Ask) -> Completion | Failure:
    try:
        found: Completion = await roster.engine(ask.expert).complete(ask.question, None)
    except EngineTimeout as error:
        return Failure(ask.expert, str(error), 0.0)
    return found


@pytest.mark.parametrize("strategy", ["symbolic", "adaptive", "cascade", "all", "best-single"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_replaying_comes_to_what_asking_came_to(kit: Any, strategy: str, data: Any) -> None:
    def of_each(what: Any) -> Any:
        return data.draw(st.lists(what, min_size=len(NAMES), max_size=len(NAMES)))

    policy = Policy(most=data.draw(st.integers(1, 6)), aggregate_under=data.draw(UNDER))
    case = Case(of_each(SAID), of_each(SAID), of_each(RATES), policy, data.draw(FORMATS))
    asyncio.run(both(kit, strategy, case))
