"""What every engine does, whatever is behind it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from coterie.errors import EngineError, EngineRejected
from coterie.ports import Engine
from coterie.types import Question, Sampling, Usage
from orchestrator.engines.http import create_client
from orchestrator.engines.openai import OpenAIEngine
from orchestrator.engines.replay import RecordedAnswer, ReplayEngine
from orchestrator.engines.target import Target
from tests.orchestrator.engines.engine_clocks import SystemClock
from tests.orchestrator.engines.engine_upstream import USAGE, answers, refuses, running_upstream

KNOWN = Question.of("Where is the Louvre?")
UNKNOWN = Question.of("What was never recorded?")
TEXT = "Paris it is"
ANY = Sampling(temperature=0.0)


async def _openai() -> AsyncIterator[Engine]:
    """Over a real socket; the server refuses the unknown question."""
    async with running_upstream() as upstream, create_client() as client:

        def reply(request: Any) -> Any:
            if upstream.bodies[-1]["messages"][-1]["content"] == UNKNOWN.text:
                return refuses(404, "The model `m` does not exist.")(request)
            return upstream._usual(request)

        upstream.says(*[reply] * 10)
        upstream.tokenize = answers({"count": USAGE["prompt_tokens"]})
        upstream.health = answers({})
        target = Target("law", upstream.url, "m")
        yield OpenAIEngine(target, client, clock=SystemClock(), rng=random.Random(0))


async def _replay() -> AsyncIterator[Engine]:
    usage = Usage(USAGE["prompt_tokens"], USAGE["completion_tokens"])
    yield ReplayEngine("law", {KNOWN.text: RecordedAnswer(TEXT, usage)})


ENGINES = {"openai": _openai, "replay": _replay}


@pytest.fixture(params=sorted(ENGINES))
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with aclosing(ENGINES[request.param]()) as made:  # type: ignore[type-var]
        yield await anext(made)


async def test_a_completion_says_who_what_and_how_much(engine: Engine) -> None:
    completion = await engine.complete(KNOWN, ANY)
    assert completion.expert == "law"
    assert completion.text == TEXT
    assert completion.finish_reason == "stop"
    assert completion.usage == Usage(7, 3)
    assert completion.latency_s >= 0
    assert completion.message == {"role": "assistant", "content": TEXT}


async def test_a_stream_is_the_same_answer_in_pieces(engine: Engine) -> None:
    chunks = [chunk async for chunk in engine.stream(KNOWN, ANY)]
    whole = await engine.complete(KNOWN, ANY)
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert len(chunks) > 2
    assert (chunks[-1].finish_reason, chunks[-1].usage) == (whole.finish_reason, whole.usage)


async def test_only_the_last_chunk_finishes(engine: Engine) -> None:
    chunks = [chunk async for chunk in engine.stream(KNOWN, ANY)]
    assert all(chunk.finish_reason is None and chunk.usage is None for chunk in chunks[:-1])


async def test_a_stream_may_be_left_early(engine: Engine) -> None:
    async with aclosing(engine.stream(KNOWN, ANY)) as chunks:
        assert (await anext(chunks)).text
    assert (await engine.complete(KNOWN, ANY)).text == TEXT


async def test_counted_tokens_are_those_of_the_usage(engine: Engine) -> None:
    whole = await engine.complete(KNOWN, ANY)
    assert await engine.count_tokens(KNOWN) == whole.usage.prompt_tokens


async def test_a_refusal_is_the_same_error_whole_and_streamed(engine: Engine) -> None:
    with pytest.raises(EngineRejected) as whole:
        await engine.complete(UNKNOWN, ANY)
    with pytest.raises(EngineRejected) as streamed:
        await anext(aiter(engine.stream(UNKNOWN, ANY)))
    assert str(whole.value) == str(streamed.value)
    assert isinstance(whole.value, EngineError)
    assert whole.value.expert == "law"


async def test_it_is_well(engine: Engine) -> None:
    assert (await engine.health()).ok
