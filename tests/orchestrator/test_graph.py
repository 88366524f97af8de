"""The graph: who is asked, who replaces whom, and what comes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from coterie.errors import (
    ContextLengthExceeded,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
    NoExpertAvailable,
    RequestError,
    UnknownModel,
)
from coterie.types import Estimate, Sampling
from orchestrator.graph import Coterie, Services
from orchestrator.inquiry import Delta, Finished, Routed
from orchestrator.routing import Policy
from skills.knowledge import Knowledge

pytestmark = pytest.mark.usefixtures("both_ways")

PROSE = "Autumn leaves are falling down and nobody is here to see it but the old grey cat. " * 2


def coterie(kit: Any, roster: Any, policy: Policy | None = None) -> Coterie:
    services = Services(kit.inference(), roster, policy or Policy())
    return Coterie(services, engine_only=kit.engine_only)


async def text_of(events: Any) -> tuple[str, list[Any]]:
    seen = [event async for event in events]
    return "".join(e.chunk.text for e in seen if isinstance(e, Delta)), seen


async def test_the_sure_expert_is_asked_alone(kit: Any) -> None:
    engines = [kit.engine("good"), kit.engine("bad", "41")]
    found = await coterie(kit, kit.roster(engines, {"good": 0.95, "bad": 0.2})).run(kit.inquiry())
    assert found.answer.text == "42"
    assert [c.expert for c in found.completions] == ["good"]
    assert engines[1].asked == []
    assert set(found.steps_ms) >= {"infer", "route", "ask", "judge", "answer"}


async def test_comparable_experts_vote(kit: Any) -> None:
    engines = [kit.engine("a", "41"), kit.engine("b"), kit.engine("c")]
    roster = kit.roster(engines, {"a": 0.62, "b": 0.6, "c": 0.6})
    found = await coterie(kit, roster).run(kit.inquiry())
    assert found.answer.text == "42"
    assert found.verdict.votes == {"41": ("a",), "42": ("b", "c")}
    assert found.usage.total_tokens == 3 * 6


async def test_disagreement_recruits_the_reserve(kit: Any) -> None:
    engines = [kit.engine(n, t) for n, t in zip("abcde", ("1", "2", "3", "3", "3"), strict=True)]
    roster = kit.roster(engines, dict.fromkeys("abcde", 0.5))
    found = await coterie(kit, roster, Policy(first=3, most=5)).run(kit.inquiry())
    assert len(found.completions) == 5
    assert found.answer.text == "3"


async def test_agreement_ends_the_asking(kit: Any) -> None:
    engines = [kit.engine(n) for n in "abcde"]
    roster = kit.roster(engines, dict.fromkeys("abcde", 0.7))
    found = await coterie(kit, roster).run(kit.inquiry())
    assert len(found.completions) == 3


async def test_a_failing_expert_is_replaced_by_the_next_best(kit: Any) -> None:
    broken = kit.engine("best", error=EngineTimeout("best", "no answer in 5 s"))
    engines = [broken, kit.engine("second"), kit.engine("third")]
    roster = kit.roster(engines, {"best": 0.95, "second": 0.5, "third": 0.1})
    found = await coterie(kit, roster).run(kit.inquiry())
    assert found.answer.expert == "second"
    assert found.failures[0].expert == "best"
    assert "no answer" in found.failures[0].error
    assert engines[2].asked == []


async def test_when_everyone_fails_the_caller_is_told_what_each_said(kit: Any) -> None:
    engines = [kit.engine(n, error=EngineUnavailable(n, f"down-{n}")) for n in "ab"]
    with pytest.raises(NoExpertAvailable, match=r"down-a.*down-b"):
        await coterie(kit, kit.roster(engines, {"a": 0.95, "b": 0.5})).run(kit.inquiry())


async def test_the_last_of_many_answers_when_all_others_have_failed(kit: Any) -> None:
    names = [f"e{i:02d}" for i in range(30)]
    engines = [kit.engine(n, error=EngineUnavailable(n, "down")) for n in names]
    graph = coterie(kit, kit.roster(engines, dict.fromkeys(names, 0.95)), Policy(most=5))
    with pytest.raises(NoExpertAvailable):
        await graph.run(kit.inquiry())
    assert [len(e.asked) for e in engines] == [1] * 30
    engines[-1].error = None
    assert (await graph.run(kit.inquiry())).answer.expert == "e29"


async def test_with_an_answer_the_asking_ends_when_too_many_have_failed(kit: Any) -> None:
    names = [f"e{i:02d}" for i in range(30)]
    engines = [kit.engine(n, error=EngineUnavailable(n, "down")) for n in names]
    engines[0].error = None
    graph = coterie(kit, kit.roster(engines, dict.fromkeys(names, 0.95)), Policy(most=5))
    found = await graph.run(kit.inquiry(strategy="all"))
    assert found.answer.expert == "e00"
    assert sum(bool(e.asked) for e in engines) == 10


async def test_a_request_every_expert_refuses_is_the_callers_to_mend(kit: Any) -> None:
    engines = [kit.engine(n, error=EngineRejected(n, "bad stop")) for n in "ab"]
    with pytest.raises(RequestError, match="bad stop"):
        await coterie(kit, kit.roster(engines, {"a": 0.95, "b": 0.5})).run(kit.inquiry())


async def test_experts_that_are_starting_are_left_out(kit: Any) -> None:
    up, starting = kit.engine("up"), kit.engine("starting")
    roster = kit.roster([up, starting], {"up": 0.5, "starting": 0.99})
    del roster._engines.engines["starting"]
    found = await coterie(kit, roster).run(kit.inquiry())
    assert found.answer.expert == "up"


async def test_nobody_enabled_says_how_to_enable(kit: Any) -> None:
    with pytest.raises(NoExpertAvailable, match="coterie experts enable"):
        await coterie(kit, kit.roster([], {})).run(kit.inquiry())


async def test_an_over_long_conversation_is_refused(kit: Any) -> None:
    roster = kit.roster([kit.engine("a", prompt_tokens=5000)], {"a": 0.9}, context_length=2048)
    with pytest.raises(ContextLengthExceeded, match="2048"):
        await coterie(kit, roster).run(kit.inquiry("word " * 5000))


async def test_max_tokens_counts_towards_the_context(kit: Any) -> None:
    roster = kit.roster([kit.engine("a", prompt_tokens=100)], {"a": 0.9}, context_length=2048)
    with pytest.raises(ContextLengthExceeded):
        await coterie(kit, roster).run(kit.inquiry(sampling=Sampling(max_tokens=2000)))


async def test_prose_is_synthesized_by_the_best(kit: Any) -> None:
    engines = [kit.engine(n, PROSE + n) for n in "abc"]
    roster = kit.roster(engines, {"a": 0.5, "b": 0.6, "c": 0.55})
    found = await coterie(kit, roster).run(kit.inquiry())
    assert found.synthesis is not None
    assert found.answer.expert == "b"
    assert len(engines[1].asked) == 2
    assert "</answer-" in engines[1].asked[1].text
    calls = [*found.completions, found.synthesis]
    assert found.usage.completion_tokens == sum(c.usage.completion_tokens for c in calls)


async def test_the_best_at_aggregating_writes_the_synthesis_where_that_was_measured(
    kit: Any,
) -> None:
    engines = [kit.engine(n, PROSE + n) for n in "abc"]
    rates, aggregating = {"a": 0.5, "b": 0.6, "c": 0.55}, {"a": 0.2, "b": 0.3, "c": 0.8}
    roster = kit.roster(engines, rates)
    profiles = [
        replace(kit.profile(n, rates[n]), aggregation=Estimate(mean, 0.1, 40))
        for n, mean in aggregating.items()
    ]
    roster.snapshot = replace(roster.snapshot, knowledge=Knowledge.of(profiles))
    found = await coterie(kit, roster).run(kit.inquiry())
    assert found.synthesis is not None
    assert found.answer.expert == "c"


async def test_whoever_aggregates_best_writes_though_it_was_not_asked(kit: Any) -> None:
    engines = [kit.engine(n, PROSE + n) for n in "abc"] + [kit.engine("d", PROSE + "d")]
    rates = {"a": 0.5, "b": 0.6, "c": 0.55, "d": 0.01}
    roster = kit.roster(engines, rates)
    profiles = [
        replace(kit.profile(n, rates[n]), aggregation=Estimate(0.9 if n == "d" else 0.3, 0.1, 40))
        for n in rates
    ]
    roster.snapshot = replace(roster.snapshot, knowledge=Knowledge.of(profiles))
    found = await coterie(kit, roster, Policy(most=3)).run(kit.inquiry())
    assert "d" not in {c.expert for c in found.completions}
    assert found.answer.expert == "d"
    engines[3].error = EngineUnavailable("d", "down")
    again = await coterie(kit, roster, Policy(most=3)).run(kit.inquiry())
    assert again.answer.expert == "b"
    assert again.aggregation is not None
    assert [f.expert for f in again.aggregation.failures] == ["d"]


async def test_expert_defaults_fill_what_the_caller_left_open(kit: Any) -> None:
    engine = kit.engine("a")
    roster = kit.roster([engine], {"a": 0.9}, defaults=Sampling(temperature=0.3, max_tokens=9))
    await coterie(kit, roster).run(kit.inquiry(sampling=Sampling(temperature=0.0)))
    assert engine.samplings[0].temperature == 0.0
    assert engine.samplings[0].max_tokens == 9


# --- one expert by name -------------------------------------------------------------------------


async def test_an_expert_by_name_is_asked_and_nobody_else(kit: Any) -> None:
    engines = [kit.engine("a"), kit.engine("b", error=EngineUnavailable("b", "down"))]
    graph = coterie(kit, kit.roster(engines, {"a": 0.9, "b": 0.9}))
    with pytest.raises(EngineUnavailable, match="down"):
        await graph.run(kit.inquiry(expert="b"))
    assert engines[0].asked == []
    assert (await graph.run(kit.inquiry(expert="a"))).answer.expert == "a"


async def test_an_unknown_expert_is_refused(kit: Any) -> None:
    with pytest.raises(UnknownModel, match="nobody"):
        await coterie(kit, kit.roster([kit.engine("a")], {})).run(kit.inquiry(expert="nobody"))


# --- streaming ----------------------------------------------------------------------------------


async def test_one_experts_tokens_stream_through(kit: Any) -> None:
    engine = kit.engine("a", "one two three")
    graph = coterie(kit, kit.roster([engine], {"a": 0.95}))
    text, events = await text_of(graph.stream(kit.inquiry(stream=True)))
    assert text == "one two three"
    assert isinstance(events[0], Routed)
    assert len([e for e in events if isinstance(e, Delta)]) >= 4
    assert isinstance(events[-1], Finished)
    assert events[-1].outcome.usage.total_tokens == 8


async def test_a_votes_winner_is_streamed_once_it_is_known(kit: Any) -> None:
    engines = [kit.engine("a", "41"), kit.engine("b"), kit.engine("c")]
    roster = kit.roster(engines, {"a": 0.62, "b": 0.6, "c": 0.6})
    text, events = await text_of(coterie(kit, roster).stream(kit.inquiry(stream=True)))
    assert text == "42"
    assert events[-1].outcome.usage.total_tokens == 18


async def test_a_synthesis_streams(kit: Any) -> None:
    engines = [kit.engine(n, PROSE + n) for n in "abc"]
    roster = kit.roster(engines, dict.fromkeys("abc", 0.5))
    text, events = await text_of(coterie(kit, roster).stream(kit.inquiry(stream=True)))
    assert text == events[-1].outcome.answer.text
    assert events[-1].outcome.synthesis is not None


async def test_failing_before_the_first_token_is_replaced_unseen(kit: Any) -> None:
    broken = kit.engine("best", error=EngineUnavailable("best", "down"))
    engines = [broken, kit.engine("second", "fine words")]
    graph = coterie(kit, kit.roster(engines, {"best": 0.95, "second": 0.5}))
    text, events = await text_of(graph.stream(kit.inquiry(stream=True)))
    assert text == "fine words"
    assert events[-1].outcome.failures[0].expert == "best"


async def test_failing_after_the_first_token_is_an_error(kit: Any) -> None:
    broken = kit.engine("best", "one two three", EngineUnavailable("best", "died"), words=2)
    graph = coterie(kit, kit.roster([broken, kit.engine("b")], {"best": 0.95, "b": 0.5}))
    seen: list[Any] = []

    async def read() -> None:
        async for event in graph.stream(kit.inquiry(stream=True)):
            seen.append(event)

    with pytest.raises(EngineUnavailable, match="died"):
        await read()
    assert "".join(e.chunk.text for e in seen if isinstance(e, Delta)) == "one two"


async def test_closing_the_stream_stops_the_asking(kit: Any) -> None:
    engine = kit.engine("a", "one two", hang=True)
    events = coterie(kit, kit.roster([engine], {"a": 0.95})).stream(kit.inquiry(stream=True))
    async for event in events:
        if isinstance(event, Delta):
            break
    await events.aclose()
    async with asyncio.timeout(2):
        while not engine.cancelled:
            await asyncio.sleep(0.01)


async def test_cancelling_a_run_stops_the_asking(kit: Any) -> None:
    engines = [kit.engine(n, hang=True) for n in "abc"]
    graph = coterie(kit, kit.roster(engines, dict.fromkeys("abc", 0.5)))
    task = asyncio.create_task(graph.run(kit.inquiry()))
    async with asyncio.timeout(2):
        while not all(e.asked for e in engines):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(e.cancelled for e in engines)
