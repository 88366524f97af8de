"""The live graph and a deliberation over stored replies come to the same, whoever fails."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coterie.errors import EngineTimeout
from coterie.types import Completion, Failure
from orchestrator.deliberation import Ask, Matter, Missing, Settled, deliberate
from orchestrator.graph import Coterie, Services, decide, query_of
from orchestrator.routing import Policy

PROSE = "Autumn leaves are falling down and nobody is here to see it but the old grey cat. " * 2
NAMES = "abcdef"
SAID = st.sampled_from(["1", "2", "3", PROSE, None])
RATES = st.sampled_from([0.3, 0.5, 0.55, 0.6, 0.95])


async def both(kit: Any, strategy: str, said: Any, rates: Any, most: int) -> None:
    engines = [
        kit.engine(n, text or "", error=None if text else EngineTimeout(n, "no answer"))
        for n, text in zip(NAMES, said, strict=True)
    ]
    roster = kit.roster(engines, dict(zip(NAMES, rates, strict=True)))
    services = Services(kit.inference(), roster, Policy(most=most))
    inquiry = kit.inquiry(strategy=strategy)
    query = await query_of(inquiry, services)
    pool, route = await decide(inquiry, query, services)
    matter = Matter(inquiry.question, query, pool, route, services.policy)
    stored: dict[tuple[str, str], Completion | Failure] = {}
    while isinstance(
        found := deliberate(matter, lambda a: stored.get((a.expert, a.role))), Missing
    ):
        for ask in found.asks:
            assert (ask.expert, ask.role) not in stored
            stored[ask.expert, ask.role] = await answered(roster, ask)
    assert isinstance(found, Settled)
    if found.error is not None:
        with pytest.raises(type(found.error), match=re.escape(str(found.error))):
            await Coterie(services).run(inquiry)
        return
    outcome = await Coterie(services).run(inquiry)
    replies = [reply for ask, reply in found.heard if ask.role == "answer"]
    assert found.answer == outcome.answer
    assert found.verdict == outcome.verdict
    assert tuple(r for r in replies if isinstance(r, Completion)) == outcome.completions


async def answered(roster: Any, ask: Ask) -> Completion | Failure:
    try:
        found: Completion = await roster.engine(ask.expert).complete(ask.question, None)
    except EngineTimeout as error:
        return Failure(ask.expert, str(error), 0.0)
    return found


@pytest.mark.parametrize("strategy", ["symbolic", "adaptive", "cascade", "all", "best-single"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_replaying_comes_to_what_asking_came_to(kit: Any, strategy: str, data: Any) -> None:
    said = data.draw(st.lists(SAID, min_size=len(NAMES), max_size=len(NAMES)))
    rates = data.draw(st.lists(RATES, min_size=len(NAMES), max_size=len(NAMES)))
    asyncio.run(both(kit, strategy, said, rates, data.draw(st.integers(1, 6))))
