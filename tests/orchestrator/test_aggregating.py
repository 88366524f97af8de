"""When the aggregator writes the answer, and what stands where it cannot."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from coterie.errors import (
    EngineProtocolError,
    EngineUnavailable,
    NoExpertAvailable,
    NothingAnswered,
)
from coterie.types import Chunk, Sampling, Usage
from orchestrator.graph import Coterie, Services
from orchestrator.inquiry import Call, Delta, Waiting
from orchestrator.routing import Policy
from orchestrator.why import outcome_record

pytestmark = pytest.mark.usefixtures("both_ways")

PROSE = "Autumn leaves are falling down and nobody is here to see it but the old grey cat. " * 2
WRITTEN = "One answer, made of three."
CHOICE = "Which is it?\nA. red\nB. green\nC. blue"
EVENLY = {"a": 0.62, "b": 0.6, "c": 0.55}
SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
AS_JSON = Sampling(extra={"response_format": FORMAT})


def coterie(kit: Any, roster: Any, policy: Policy | None = None, **more: Any) -> Coterie:
    services = Services(kit.inference(), roster, policy or Policy(), **more)
    return Coterie(services, engine_only=kit.engine_only)


def panel(kit: Any, said: Any = PROSE, *writers: Any) -> list[Any]:
    """Experts a, b and c: each says one of ``said``; the first who are asked to write, ``writers``
    in turn, by name."""
    texts = dict(zip("abc", [said] * 3 if isinstance(said, str) else said, strict=True))
    then = {w.name: w for w in writers}
    return [kit.engine(n, t, then=then.get(n)) for n, t in texts.items()]


def knowing(roster: Any, **fields: Any) -> Any:
    roster.snapshot = replace(
        roster.snapshot, knowledge=replace(roster.snapshot.knowledge, _derived={}, **fields)
    )
    return roster


async def asked(kit: Any, roster: Any, policy: Policy | None = None, **inquiry: Any) -> Any:
    return await coterie(kit, roster, policy).run(kit.inquiry(**inquiry))


# --- when ----------------------------------------------------------------------------------------


async def test_by_default_a_vote_stands_however_unsure(kit: Any) -> None:
    found = await asked(kit, kit.roster(panel(kit, ["1", "2", "3"]), EVENLY))
    assert found.answer.text == "1"
    assert found.synthesis is found.aggregation is None


async def test_under_the_snapshots_threshold_disagreement_goes_to_the_aggregator(kit: Any) -> None:
    engines = panel(kit, ["1", "2", "3"], kit.engine("a", "4"))
    for choices in ({"aggregate": "0.9"}, {"aggregate/symbolic": "0.9", "aggregate": "0.1"}):
        roster = knowing(kit.roster(engines, EVENLY), choices=choices)
        found = await asked(kit, roster)
        assert found.answer.text == "4"
        assert found.aggregation.writer == "a"
        assert "belief" in found.aggregation.because


async def test_a_vote_that_is_sure_enough_stands(kit: Any) -> None:
    roster = knowing(kit.roster(panel(kit, ["1", "1", "2"]), EVENLY), choices={"aggregate": "0.5"})
    found = await asked(kit, roster)
    assert (found.answer.text, found.aggregation) == ("1", None)


async def test_who_agrees_needs_no_aggregator(kit: Any) -> None:
    roster = knowing(
        kit.roster(panel(kit, "1"), dict.fromkeys("abc", 0.2)), choices={"aggregate": "1.0"}
    )
    assert (await asked(kit, roster)).aggregation is None


async def test_the_operators_threshold_comes_before_the_snapshots(kit: Any) -> None:
    engines = panel(kit, ["1", "2", "3"], kit.engine("a", "4"))
    roster = knowing(kit.roster(engines, EVENLY), choices={"aggregate": "1.0"})
    assert (await asked(kit, roster, Policy(aggregate_under=0.0))).aggregation is None


async def test_a_baselines_vote_always_stands(kit: Any) -> None:
    roster = knowing(kit.roster(panel(kit, ["1", "2", "3"]), EVENLY), choices={"aggregate": "1.0"})
    for strategy in ("all", "majority"):
        assert (await asked(kit, roster, strategy=strategy)).aggregation is None


async def test_a_threshold_that_is_no_number_lets_votes_stand(
    kit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    roster = knowing(kit.roster(panel(kit, ["1", "2", "3"]), EVENLY), choices={"aggregate": "half"})
    assert (await asked(kit, roster)).aggregation is None
    assert "half" in caplog.text


# --- fallbacks -----------------------------------------------------------------------------------


async def test_who_fails_to_write_is_followed_by_the_next(kit: Any) -> None:
    broken = kit.engine("a", error=EngineUnavailable("a", "out of memory"))
    roster = kit.roster(panel(kit, PROSE, broken, kit.engine("b", WRITTEN)), EVENLY)
    for stream in (False, True):
        for engine in roster._engines.engines.values():
            engine.asked.clear()
        found = await asked(kit, roster, stream=stream)
        assert (found.answer.text, found.answer.expert) == (WRITTEN, "b")
        assert [f.expert for f in found.aggregation.failures] == ["a"]
        assert found.failures == ()


async def test_where_nobody_can_write_the_best_vote_stands_and_the_record_says_why(
    kit: Any,
) -> None:
    broken = [kit.engine(n, error=EngineUnavailable(n, f"down-{n}")) for n in "abc"]
    engines = panel(kit, [PROSE + "a", PROSE + "b", PROSE + "c"], *broken)
    found = await asked(kit, kit.roster(engines, EVENLY))
    assert found.answer.text == PROSE + "a"
    assert found.synthesis is None
    record = outcome_record(found)
    told = record["aggregation"]
    assert told["writer"] is None
    assert [f["expert"] for f in told["failures"]] == ["a", "b"]  # no more than two are tried
    assert "down-a" in told["failures"][0]["error"]
    assert "best vote, a's" in told["fallback"]
    assert "can be compared" in told["because"]
    assert record["synthesis"] is None
    assert [c["role"] for c in record["calls"]] == ["answer"] * 3 + ["aggregate"] * 2


async def test_an_unsure_vote_stands_after_all_where_nobody_can_write(kit: Any) -> None:
    broken = [kit.engine(n, error=EngineUnavailable(n, "down")) for n in "abc"]
    roster = kit.roster(panel(kit, ["1", "2", "2"], *broken), EVENLY)
    found = await asked(kit, knowing(roster, choices={"aggregate": "1.0"}))
    assert found.answer.text == "2"
    assert len(found.aggregation.failures) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_an_aggregator_that_is_too_late_is_given_up(kit: Any, stream: bool) -> None:
    late = [Slow(n, WRITTEN) for n in "abc"]
    engines = panel(kit, [PROSE + n for n in "abc"], *late)
    graph = coterie(kit, kit.roster(engines, EVENLY), aggregator_s=0.05)
    found = await graph.run(kit.inquiry(stream=stream))
    assert found.answer.text == PROSE + "a"
    assert [f.code for f in found.aggregation.failures] == ["too_late"] * 2
    assert "within 0.05 s" in found.aggregation.failures[0].error
    assert [e.cancelled for e in late] == [True, True, False]


async def test_the_deadline_ends_with_the_first_token(kit: Any) -> None:
    writer = Slow("a", WRITTEN, after=1)
    graph = coterie(kit, kit.roster(panel(kit, PROSE, writer), EVENLY), aggregator_s=0.05)
    task = asyncio.create_task(graph.run(kit.inquiry(stream=True)))
    async with asyncio.timeout(5):
        await writer.begun.wait()
        await asyncio.wait([task], timeout=0.15)  # three deadlines long
        assert not task.done()
        writer.go.set()
        assert (await task).answer.text == WRITTEN


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("nothing", ["", " \n"])
async def test_an_aggregator_that_writes_nothing_is_followed_by_the_next(
    kit: Any, nothing: str, stream: bool
) -> None:
    engines = panel(kit, PROSE, kit.engine("a", nothing), kit.engine("b", WRITTEN))
    events = [
        e
        async for e in coterie(kit, kit.roster(engines, EVENLY)).stream(kit.inquiry(stream=stream))
    ]
    found = events[-1].outcome
    assert found.answer.text == WRITTEN
    assert found.aggregation.failures[0].code == "empty_answer"
    assert found.aggregation.failures[0].usage is not None
    if stream:
        assert "".join(e.chunk.text for e in events if isinstance(e, Delta)) == WRITTEN


async def test_reasoning_that_ends_in_nothing_is_an_error_once_it_has_gone_out(kit: Any) -> None:
    engines = panel(kit, PROSE, Reasoner("a"), kit.engine("b", WRITTEN))
    events = coterie(kit, kit.roster(engines, EVENLY)).stream(kit.inquiry(stream=True))
    seen: list[Any] = []

    async def read() -> None:
        async for event in events:
            seen.append(event)

    with pytest.raises(EngineProtocolError, match="answered nothing"):
        await read()
    assert [e.usage for e in seen if isinstance(e, Call)][-1] == Usage(5, 2)
    assert not any(isinstance(e, Delta) and e.chunk.finish_reason for e in seen)


async def test_reasoning_alone_is_no_answer(kit: Any) -> None:
    thinks = kit.engine("a", "<think>well</think>")
    engines = panel(kit, PROSE, thinks, kit.engine("b", WRITTEN))
    assert (await asked(kit, kit.roster(engines, EVENLY))).answer.text == WRITTEN
    roster = kit.roster([kit.engine("a", thinks.text)], {"a": 0.9})
    assert (await asked(kit, roster, expert="a")).answer.text == thinks.text


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_breaks_the_schema_is_not_shown(kit: Any, stream: bool) -> None:
    said = [PROSE, PROSE, '{"n": 3}']
    engines = panel(kit, said, kit.engine("a", '{"n": "three"}'), kit.engine("b", "three"))
    events = [
        e
        async for e in coterie(kit, kit.roster(engines, EVENLY)).stream(
            kit.inquiry(stream=stream, sampling=AS_JSON)
        )
    ]
    found = events[-1].outcome
    assert [f.code for f in found.aggregation.failures] == ["form_dropped"] * 2
    assert found.answer.text == '{"n": 3}'  # not the likeliest, but it keeps the form
    if stream:
        assert "".join(e.chunk.text for e in events if isinstance(e, Delta)) == '{"n": 3}'


@pytest.mark.parametrize("stream", [False, True])
async def test_a_written_answer_that_keeps_the_schema_stands(kit: Any, stream: bool) -> None:
    engines = panel(kit, PROSE, kit.engine("a", '{"n": 4}'))
    roster = kit.roster(engines, EVENLY)
    events = [
        e async for e in coterie(kit, roster).stream(kit.inquiry(stream=stream, sampling=AS_JSON))
    ]
    assert events[-1].outcome.answer.text == '{"n": 4}'
    assert engines[0].then.samplings[0].extra == AS_JSON.extra
    if stream:
        assert "".join(e.chunk.text for e in events if isinstance(e, Delta)) == '{"n": 4}'


async def test_a_choice_is_not_answered_by_talk(kit: Any) -> None:
    said = ["The answer is A.", "The answer is B.", "The answer is C."]
    roster = kit.roster(panel(kit, said, kit.engine("a", PROSE), kit.engine("b", "B.")), EVENLY)
    roster = knowing(roster, choices={"aggregate": "0.99"})
    found = await asked(kit, roster, text=CHOICE)
    assert [f.code for f in found.aggregation.failures] == ["form_dropped"]
    assert found.answer.text == "B."


# --- empty answers -------------------------------------------------------------------------------


async def test_an_expert_that_answers_nothing_is_replaced(kit: Any) -> None:
    engines = [kit.engine("best", ""), kit.engine("second", "42")]
    roster = kit.roster(engines, {"best": 0.95, "second": 0.5})
    for stream in (False, True):
        found = await asked(kit, roster, stream=stream)
        assert found.answer.expert == "second"
        assert found.failures[0].code == "empty_answer"
        assert found.usage == Usage(10, 1)


async def test_when_everybody_answers_nothing_the_caller_is_told(kit: Any) -> None:
    roster = kit.roster([kit.engine("a", ""), kit.engine("b", " ")], {"a": 0.95, "b": 0.5})
    for stream in (False, True):
        with pytest.raises(NothingAnswered, match=r"expert 'a'.*expert 'b'"):
            await asked(kit, roster, stream=stream)
    broken = kit.engine("b", error=EngineUnavailable("b", "down"))
    roster = kit.roster([kit.engine("a", ""), broken], {"a": 0.95, "b": 0.5})
    with pytest.raises(NoExpertAvailable):
        await asked(kit, roster)


async def test_an_expert_by_name_that_answers_nothing_is_an_error(kit: Any) -> None:
    roster = kit.roster([kit.engine("a", ""), kit.engine("b")], {"a": 0.95, "b": 0.5})
    for stream in (False, True):
        with pytest.raises(EngineProtocolError, match="answered nothing"):
            await asked(kit, roster, expert="a", stream=stream)


# --- what it took --------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_every_call_is_paid_for_to_the_token(kit: Any, stream: bool) -> None:
    """Experts, an empty answer, an aggregator that drops the form, and the one that writes."""
    said = [PROSE, "", PROSE]
    engines = panel(kit, said, kit.engine("a", "no JSON here"), kit.engine("c", '{"n": 1}'))
    roster = kit.roster(engines, EVENLY, prompt_price=2.0, completion_price=10.0)
    events = [
        e async for e in coterie(kit, roster).stream(kit.inquiry(stream=stream, sampling=AS_JSON))
    ]
    found, calls = events[-1].outcome, [e for e in events if isinstance(e, Call)]
    assert found.answer.text == '{"n": 1}'
    assert tuple(calls) == found.calls
    assert [c.error is None for c in calls].count(False) == 2
    words = sum(len(text.split()) for text in (PROSE, PROSE, "no JSON here", '{"n": 1}'))
    assert found.usage == Usage(5 * 5, words)
    dollars = (found.usage.prompt_tokens * 2 + found.usage.completion_tokens * 10) / 1e6
    assert found.cost_usd == pytest.approx(dollars, rel=1e-12)
    record = outcome_record(found)
    assert record["cost_usd"] == found.cost_usd
    assert record["usage"]["total_tokens"] == found.usage.total_tokens
    assert sum(c["usage"]["total_tokens"] for c in record["calls"]) == found.usage.total_tokens


async def test_waiting_is_told_of(kit: Any) -> None:
    roster = kit.roster(panel(kit, PROSE, kit.engine("a", WRITTEN)), EVENLY)
    events = [e async for e in coterie(kit, roster).stream(kit.inquiry(stream=True))]
    waited = [e for e in events if isinstance(e, Waiting)]
    assert waited == [Waiting(("a", "b", "c"), "answer"), Waiting(("a",), "aggregate")]


class Reasoner:
    """Streams reasoning, and then nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def stream(self, question: Any, sampling: Any) -> Any:
        yield Chunk(delta={"reasoning_content": "well well"})
        yield Chunk("", "stop", Usage(5, 2))


class Slow:
    """Writes when it is let, after so many words."""

    def __init__(self, name: str, text: str, after: int = 0) -> None:
        self.name, self._words, self._after = name, text.split(" "), after
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.cancelled = False

    async def complete(self, question: Any, sampling: Any) -> Any:
        await self._wait()

    async def stream(self, question: Any, sampling: Any) -> Any:
        for i, word in enumerate(self._words):
            if i == self._after:
                await self._wait()
            yield Chunk(f" {word}" if i else word)
        yield Chunk("", "stop", Usage(5, len(self._words)))

    async def _wait(self) -> None:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
