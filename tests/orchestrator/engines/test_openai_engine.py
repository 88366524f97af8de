"""An engine over HTTP: what it sends, what it makes of answers, and when it asks again."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from coterie.errors import (
    EngineError,
    EngineProtocolError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from coterie.types import JSON, Chunk, Message, Question, Sampling, Usage
from orchestrator.engines.openai import OpenAIEngine
from tests.orchestrator.engines.engine_upstream import (
    Upstream,
    answers,
    completion,
    events,
    refuses,
    streamed,
)

MakeEngine = Callable[..., OpenAIEngine]
QUESTION = Question.of("Where is the Louvre?", system="Be brief.")
ANY = Sampling()


async def _stream(engine: OpenAIEngine, sampling: Sampling = ANY) -> list[Chunk]:
    return [chunk async for chunk in engine.stream(QUESTION, sampling)]


class TestRequests:
    async def test_history_and_sampling_are_sent_whole(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        call: JSON = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        question = Question(
            (
                Message("user", [{"type": "text", "text": "look"}], {"name": "ann"}),
                Message("assistant", None, {"tool_calls": [call]}),
                Message("tool", "42", {"tool_call_id": "c1"}),
            )
        )
        sampling = Sampling(0.5, 0.9, 12, ("END",), 3, {"tools": [{"type": "function"}]})
        await make_engine().complete(question, sampling)
        assert upstream.bodies == [
            {
                "model": "the-model",
                "messages": [message.as_dict() for message in question.messages],
                "temperature": 0.5,
                "top_p": 0.9,
                "max_tokens": 12,
                "stop": ["END"],
                "seed": 3,
                "tools": [{"type": "function"}],
                "stream": False,
            }
        ]

    async def test_the_experts_defaults_fill_what_the_request_leaves_open(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        engine = make_engine(defaults=Sampling(temperature=0.1, max_tokens=5))
        await engine.complete(QUESTION, Sampling(max_tokens=9))
        assert upstream.bodies[0]["temperature"] == 0.1
        assert upstream.bodies[0]["max_tokens"] == 9

    async def test_extra_cannot_displace_what_coterie_sends(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        extra: dict[str, JSON] = {
            "model": "other",
            "stream": False,
            "stream_options": {"include_usage": False},
        }
        await _stream(make_engine(), Sampling(extra=extra))
        assert upstream.bodies[0]["model"] == "the-model"
        assert upstream.bodies[0]["stream"] is True
        assert upstream.bodies[0]["stream_options"] == {"include_usage": True}

    async def test_a_fusion_is_asked_for_beside_what_the_caller_sent(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        engine = make_engine(ours=True, fusion="lifted")
        xargs: JSON = {"session_id": "s"}
        await engine.complete(QUESTION, Sampling(extra={"vllm_xargs": xargs}))
        await _stream(engine, Sampling(extra={"coterie": "trace-1"}))
        assert [body["vllm_xargs"] for body in upstream.bodies] == [
            {"session_id": "s", "fusion": "lifted"},
            {"fusion": "lifted", "fusion_trace": "trace-1"},
        ]
        assert all("coterie" not in body for body in upstream.bodies)

    @pytest.mark.parametrize("xargs", [{"fusion": "x"}, {"fusion_trace": "x"}, ["fusion"]])
    @pytest.mark.parametrize("fusion", [None, "lifted"])
    async def test_no_caller_asks_an_engine_of_ours_for_a_fusion(
        self, make_engine: MakeEngine, upstream: Upstream, xargs: JSON, fusion: str | None
    ) -> None:
        engine = make_engine(ours=True, fusion=fusion)
        with pytest.raises(EngineRejected, match="'vllm_xargs'"):
            await engine.complete(QUESTION, Sampling(extra={"vllm_xargs": xargs}))
        assert not upstream.bodies

    async def test_a_server_elsewhere_gets_what_it_was_sent(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        xargs: JSON = {"fusion": "of its own"}
        sampling = Sampling(extra={"vllm_xargs": xargs, "coterie": "trace-1"})
        await make_engine().complete(QUESTION, sampling)
        assert upstream.bodies[0]["vllm_xargs"] == xargs
        assert "coterie" not in upstream.bodies[0]

    @pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
    async def test_an_endpoint_may_end_in_v1(
        self, upstream: Upstream, make_engine: MakeEngine, suffix: str
    ) -> None:
        await make_engine(url=upstream.url + suffix).complete(QUESTION, ANY)
        assert upstream.paths == ["/v1/chat/completions"]

    async def test_the_key_is_sent_as_a_bearer(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        await make_engine(api_key="sk-1").complete(QUESTION, ANY)
        assert upstream.headers[0]["authorization"] == "Bearer sk-1"

    async def test_odd_text_reaches_the_server(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        await make_engine().complete(Question.of("\ud800 你好 \0"), ANY)
        assert upstream.bodies[0]["messages"][0]["content"] == "\ud800 你好 \0"

    async def test_what_json_cannot_say_is_refused(self, make_engine: MakeEngine) -> None:
        with pytest.raises(EngineRejected, match="JSON"):
            await make_engine().complete(QUESTION, Sampling(temperature=float("nan")))


class TestAnswers:
    async def test_the_whole_message_is_kept(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        upstream.says(answers(completion(choices=[choice])))
        got = await make_engine().complete(QUESTION, ANY)
        assert (got.expert, got.text, got.finish_reason) == ("law", "", "tool_calls")
        assert got.message == message
        assert got.usage == Usage(7, 3)
        assert got.latency_s > 0

    @pytest.mark.parametrize(
        "body",
        [b"<html>", b"[1]", b"{}", b'{"choices":[]}', b'{"choices":[{"message":"x"}]}', b"\xff"],
    )
    async def test_nonsense_is_a_protocol_error(
        self, upstream: Upstream, make_engine: MakeEngine, body: bytes
    ) -> None:
        upstream.says(answers(body))
        with pytest.raises(EngineProtocolError, match="check that its endpoint"):
            await make_engine().complete(QUESTION, ANY)

    @pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "7"}, {"prompt_tokens": -1}])
    async def test_an_answer_without_usage_is_a_protocol_error(
        self, upstream: Upstream, make_engine: MakeEngine, usage: Any
    ) -> None:
        upstream.says(answers(completion(usage=usage)))
        with pytest.raises(EngineProtocolError, match=upstream.url):
            await make_engine().complete(QUESTION, ANY)

    async def test_choices_come_in_the_order_of_their_index(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        def choice(index: object, text: str) -> JSON:
            told = {"content": [{"token": text}]}
            return {"index": index, "message": {"content": text}, "logprobs": told}  # type: ignore[dict-item]

        odd = [choice(-1, "x"), choice("2", "y"), choice(10**9, "z"), "none"]
        body = completion(choices=[choice(1, "b"), *odd, choice(0, "a"), choice(0, "again")])
        upstream.says(answers(body))
        found = await make_engine().complete(QUESTION, Sampling(extra={"n": 2}))
        assert [c.text for c in (found, *found.others)] == ["a", "b"]
        assert found.logprobs == {"content": [{"token": "a"}]}
        assert (found.usage, found.others[0].usage) == (Usage(7, 3), Usage())


class TestStreams:
    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    async def test_words_come_as_they_are_written(
        self, upstream: Upstream, make_engine: MakeEngine, ending: str
    ) -> None:
        pieces = [": ping\n\n" + event for event in events("Paris it is")]
        upstream.says(lambda _: streamed([piece.replace("\n", ending) for piece in pieces]))
        chunks = await _stream(make_engine())
        assert [chunk.text for chunk in chunks] == ["Paris ", "it ", "is", ""]
        assert chunks[-1] == Chunk("", "stop", Usage(7, 3))
        assert all(chunk.usage is None for chunk in chunks[:-1])

    async def test_it_is_no_matter_how_the_bytes_are_cut(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        whole = "".join(events("Zürich 你好")).encode()
        upstream.says(lambda _: streamed([whole[i : i + 1] for i in range(len(whole))]))
        assert "".join(c.text for c in await _stream(make_engine())) == "Zürich 你好"

    async def test_a_delta_that_is_more_than_text_is_kept(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        delta: dict[str, JSON] = {"tool_calls": [{"index": 0, "id": "c1"}]}
        row = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        upstream.says(lambda _: streamed([f"data: {json.dumps(row)}\n\n", *events()[-3:]]))
        chunks = await _stream(make_engine())
        assert chunks[0] == Chunk("", delta=delta)
        assert chunks[-1].finish_reason == "stop"

    async def test_choices_are_told_apart_and_the_first_ends_last(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        def row(index: int, reason: str | None = None, **delta: str) -> str:
            told = {"content": [{"token": t} for t in delta.values()]} if delta else None
            choice = {"index": index, "delta": delta, "finish_reason": reason, "logprobs": told}
            return f"data: {json.dumps({'choices': [choice]})}\n\n"

        pieces = [row(0, content="a"), row(1, content="b"), row(0, "stop"), row(1, "length")]
        upstream.says(lambda _: streamed([*pieces, *events()[-2:]]))
        chunks = await _stream(make_engine(), Sampling(extra={"n": 2}))
        assert [(c.index, c.text, c.finish_reason) for c in chunks] == [
            (0, "a", None),
            (1, "b", None),
            (1, "", "length"),
            (0, "", "stop"),
        ]
        assert [c.logprobs for c in chunks[:2]] == [
            {"content": [{"token": "a"}]},
            {"content": [{"token": "b"}]},
        ]
        assert chunks[-1].usage == Usage(7, 3)
        upstream.says(lambda _: streamed([*pieces[:-1], *events()[-2:]]))
        with pytest.raises(EngineProtocolError, match="broke off"):
            await _stream(make_engine(), Sampling(extra={"n": 2}))

    async def test_usage_may_come_with_the_finish(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        row = json.loads(events()[-3].removeprefix("data: "))
        row["usage"] = {"prompt_tokens": 1, "completion_tokens": 2}
        upstream.says(lambda _: streamed([events()[1], f"data: {json.dumps(row)}\n\n"]))
        assert (await _stream(make_engine()))[-1].usage == Usage(1, 2)

    async def test_an_answer_that_breaks_off_is_no_answer(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(lambda _: streamed(events()[:2]))
        with pytest.raises(EngineProtocolError, match="finish_reason"):
            await _stream(make_engine())

    async def test_a_stream_without_usage_is_a_protocol_error(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(lambda _: streamed([*events()[:-2], events()[-1]]))
        with pytest.raises(EngineProtocolError, match="include_usage"):
            await _stream(make_engine())

    async def test_an_error_inside_the_stream_is_raised(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        error = 'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n'
        upstream.says(lambda _: streamed([*events()[:2], error]))
        with pytest.raises(EngineUnavailable, match="CUDA out of memory"):
            await _stream(make_engine())
        assert len(upstream.bodies) == 1

    async def test_what_was_counted_before_it_broke_is_told(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        row = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}
        error = 'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n'
        counted = f"data: {json.dumps(row)}\n\n"
        upstream.says(lambda _: streamed([*events()[:2], counted, error]))
        with pytest.raises(EngineUnavailable) as raised:
            await _stream(make_engine())
        assert raised.value.usage == Usage(7, 1)

    async def test_garbage_inside_the_stream_is_a_protocol_error(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(lambda _: streamed([events()[1], "data: {oops\n\n"]))
        with pytest.raises(EngineProtocolError, match="oops"):
            await _stream(make_engine())

    async def test_the_next_stream_comes_over_the_same_connection(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        for _ in range(3):
            await _stream(make_engine())
        assert len(set(upstream.callers)) == 1

    async def test_a_connection_lost_after_the_first_chunk_is_not_retried(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(lambda _: streamed(events()[:2], breaks=True))
        with pytest.raises(EngineUnavailable):
            await _stream(make_engine())
        assert len(upstream.bodies) == 1

    async def test_a_connection_lost_before_the_first_chunk_is_retried(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(lambda _: streamed(events()[:1], breaks=True))
        assert (await _stream(make_engine()))[-1].finish_reason == "stop"
        assert len(upstream.bodies) == 2


class TestRetries:
    @pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
    async def test_a_passing_failure_is_retried(
        self, upstream: Upstream, make_engine: MakeEngine, status: int
    ) -> None:
        upstream.says(refuses(status, "in a moment"))
        assert (await make_engine().complete(QUESTION, ANY)).text == "Paris it is"
        assert len(upstream.bodies) == 2

    async def test_a_stream_that_is_refused_is_retried(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(refuses(503, "in a moment"))
        assert (await _stream(make_engine()))[-1].usage == Usage(7, 3)

    async def test_retry_after_is_honoured(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(refuses(429, "slow down", retry_after="0.2"))
        started = time.monotonic()
        await make_engine().complete(QUESTION, ANY)
        assert time.monotonic() - started >= 0.2

    async def test_a_long_retry_after_is_passed_on_at_once(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(refuses(429, "quota", retry_after="3600"))
        with pytest.raises(EngineUnavailable) as caught:
            await make_engine().complete(QUESTION, ANY)
        assert caught.value.retry_after_s == 3600
        assert len(upstream.bodies) == 1

    async def test_a_silent_server_is_asked_twice(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(*[upstream.hangs] * 5)
        with pytest.raises(EngineTimeout, match="silent"):
            await make_engine(max_tries=5).complete(QUESTION, ANY)
        assert len(upstream.bodies) == 2

    async def test_a_server_that_is_not_there_is_unavailable(self, make_engine: MakeEngine) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            engine = make_engine(url=f"http://127.0.0.1:{unused.getsockname()[1]}")
            with pytest.raises(EngineUnavailable, match="is it running"):
                await engine.complete(QUESTION, ANY)

    @pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://[", "/"])
    async def test_a_bad_endpoint_is_the_experts_error(
        self, make_engine: MakeEngine, url: str
    ) -> None:
        with pytest.raises(EngineError):
            await make_engine(url=url, max_tries=1).complete(QUESTION, ANY)


class TestRefusals:
    @pytest.mark.parametrize(
        ("message", "code"),
        [
            (
                "This model's maximum context length is 512 tokens. However, your prompt contains "
                "at least 513 input tokens (parameter=input_tokens, value=513)",
                400,
            ),
            ("max_tokens=1024 cannot be greater than max_model_len=512.", 400),
            ("too long", "context_length_exceeded"),
        ],
    )
    async def test_too_long_a_conversation_has_one_code(
        self, upstream: Upstream, make_engine: MakeEngine, message: str, code: Any
    ) -> None:
        upstream.says(refuses(400, message, code=code))
        with pytest.raises(EngineRejected) as caught:
            await make_engine().complete(QUESTION, ANY)
        assert caught.value.code == "context_length_exceeded"
        assert len(upstream.bodies) == 1

    @pytest.mark.parametrize("status", [401, 403])
    async def test_a_denial_names_the_variable_and_never_the_key(
        self, upstream: Upstream, make_engine: MakeEngine, status: int
    ) -> None:
        upstream.says(refuses(status, "bad key sk-secret"))
        engine = make_engine(api_key="sk-secret", api_key_env="LAW_KEY")
        with pytest.raises(EngineRejected, match="'LAW_KEY'") as caught:
            await engine.complete(QUESTION, ANY)
        assert "sk-secret" not in str(caught.value)
        assert caught.value.status == status

    async def test_a_missing_model_is_named(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(refuses(404, "The model `the-model` does not exist."))
        with pytest.raises(EngineRejected, match="'the-model'") as caught:
            await make_engine().complete(QUESTION, ANY)
        assert caught.value.code == "model_not_found"

    async def test_what_the_server_says_is_cut_short(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(refuses(422, "x" * 10_000))
        with pytest.raises(EngineRejected, match="refused") as caught:
            await make_engine().complete(QUESTION, ANY)
        assert 300 < len(str(caught.value)) < 500


class TestCancelling:
    async def test_a_cancelled_completion_hangs_up(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(upstream.hangs)
        call = asyncio.create_task(make_engine().complete(QUESTION, ANY))
        await upstream.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(upstream.hung_up.wait(), 2)

    async def test_a_cancelled_stream_hangs_up(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(upstream.trickles)
        call = asyncio.create_task(_stream(make_engine()))
        await upstream.asked.wait()
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(upstream.hung_up.wait(), 2)

    async def test_a_reader_that_leaves_hangs_up(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.says(upstream.trickles)
        async with aclosing(make_engine().stream(QUESTION, ANY)) as chunks:
            assert (await anext(chunks)).text
        await asyncio.wait_for(upstream.hung_up.wait(), 2)


class TestCounting:
    async def test_the_server_counts(self, upstream: Upstream, make_engine: MakeEngine) -> None:
        upstream.tokenize = answers({"count": 23, "max_model_len": 512, "tokens": []})
        assert await make_engine().count_tokens(QUESTION) == 23

    @pytest.mark.parametrize("status", [404, 405])
    async def test_without_a_tokenizer_it_estimates_and_asks_no_more(
        self, upstream: Upstream, make_engine: MakeEngine, status: int
    ) -> None:
        upstream.tokenize = answers({"detail": "Not Found"}, status)
        engine = make_engine()
        counts = [await engine.count_tokens(QUESTION) for _ in range(3)]
        # ceil(9 / 3) + 8 for the system prompt, ceil(20 / 3) + 8 for the question.
        assert counts == [26, 26, 26]
        assert upstream.paths == ["/tokenize"]

    async def test_a_missing_model_is_no_missing_tokenizer(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.tokenize = refuses(404, "The model `the-model` does not exist.")
        with pytest.raises(EngineRejected, match="the-model"):
            await make_engine().count_tokens(QUESTION)


class TestHealth:
    async def test_a_healthy_server(self, upstream: Upstream, make_engine: MakeEngine) -> None:
        upstream.health = answers({})
        assert (await make_engine().health()).ok

    async def test_the_models_stand_in_for_a_missing_health(
        self, upstream: Upstream, make_engine: MakeEngine
    ) -> None:
        upstream.models = answers({"data": []})
        engine = make_engine()
        assert (await engine.health()).ok
        assert (await engine.health()).ok
        assert upstream.paths == ["/health", "/v1/models", "/v1/models"]

    async def test_a_sick_server_says_so(self, upstream: Upstream, make_engine: MakeEngine) -> None:
        upstream.health = refuses(503, "engine is dead")
        health = await make_engine().health()
        assert not health.ok
        assert "engine is dead" in health.detail

    async def test_a_server_that_is_not_there_is_no_exception(
        self, make_engine: MakeEngine
    ) -> None:
        assert not (await make_engine(url="http://127.0.0.1:1").health()).ok


async def test_no_cookie_travels_between_calls(
    upstream: Upstream, make_engine: MakeEngine, client: httpx.AsyncClient
) -> None:
    upstream.says(answers(completion(), 200, {"set-cookie": "who=ann"}))
    await make_engine().complete(QUESTION, ANY)
    await make_engine().complete(QUESTION, ANY)
    assert "cookie" not in upstream.headers[1]
