"""Spans of a request over every hop, in OpenTelemetry's names, and without anybody's words."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv.attributes import error_attributes, http_attributes, url_attributes
from opentelemetry.trace import SpanKind, StatusCode

from coterie.errors import ConfigurationError
from orchestrator.observability import attributes as names
from orchestrator.observability import otel
from orchestrator.observability.collector import tracing_of
from orchestrator.observability.otel import OtelTracing
from orchestrator.observability.tracing import NoTracing
from tests.flows.gateway import Call, answers, gateway, servers, text_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


async def breaks(call: Call) -> None:
    await call.says('{"error": {"message": "How many? is too much"}}', "500 Internal Server Error")


class Traced:
    """The spans that were made."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.tracing = OtelTracing(SimpleSpanProcessor(self._kept))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._kept.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.spans if span.name == name]
        return found

    def path(self, span: ReadableSpan) -> list[str]:
        """The names from the outermost span to this one."""
        by_id = {s.context.span_id: s for s in self.spans if s.context}
        names = [span.name]
        while span.parent and (parent := by_id.get(span.parent.span_id)):
            span = parent
            names.insert(0, span.name)
        return names


def said(span: ReadableSpan) -> Mapping[str, Any]:
    return dict(span.attributes or {})


REQUEST = "POST /v1/chat/completions"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_one_trace_goes_from_the_caller_to_the_expert(
    tmp_path: Path, sqlite_url: str, stream: bool
) -> None:
    traced = Traced()
    async with servers(answers) as (good,):
        experts = [{"name": "good", "model": "m-1", "endpoint": good.url}]
        made = gateway(tmp_path, experts, database_url=sqlite_url, tracing=traced.tracing)
        async with made as found:
            response = await found.http.post(
                "/v1/chat/completions",
                json={
                    "model": "coterie/best-single",
                    "messages": [{"role": "user", "content": "How many?"}],
                    "temperature": 0.5,
                    "stream": stream,
                },
                headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
            )
            assert text_of(response) == "forty two it is"
    call = traced.named("chat good")
    assert traced.path(call) == [REQUEST, "chat coterie", "ask", "chat good"]
    for step in ("infer", "route", "judge", "answer"):
        assert traced.path(traced.named(step)) == [REQUEST, "chat coterie", step]
    request = traced.named(REQUEST)
    assert request.kind is SpanKind.SERVER
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT
    assert {f"{s.context.trace_id:032x}" for s in traced.spans if s.context} == {TRACE}
    assert said(request)["http.response.status_code"] == 200
    assert said(request)["coterie.request_id"] == response.headers["x-request-id"]
    # The expert is told the span of its own call.
    assert call.context is not None
    [asked] = good.calls
    assert asked.headers["traceparent"] == f"00-{TRACE}-{call.context.span_id:016x}-01"


async def test_spans_speak_the_genai_conventions(tmp_path: Path, sqlite_url: str) -> None:
    traced = Traced()
    async with servers(answers, answers) as upstreams:
        experts = [
            {"name": n, "model": f"m-{n}", "endpoint": u.url, "prompt_price": 1e6}
            for n, u in zip("ab", upstreams, strict=True)
        ]
        made = gateway(tmp_path, experts, database_url=sqlite_url, tracing=traced.tracing)
        async with made as found:
            await found.chat(model="coterie/all", max_tokens=9)
    call = traced.named("chat b")
    assert call.kind is SpanKind.CLIENT
    assert said(call) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m-b",
        "gen_ai.request.max_tokens": 9,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "coterie.expert": "b",
        "coterie.role": "answer",
        "coterie.cost_usd": 7.0,
    }
    whole = said(traced.named("chat coterie"))
    assert whole["gen_ai.request.model"] == "coterie/all"
    assert whole["gen_ai.response.model"] in ("a", "b")
    assert whole["gen_ai.usage.input_tokens"] == 14
    assert whole["coterie.strategy"] == "all"
    assert whole["coterie.cost_usd"] == 14.0
    assert sorted(whole["coterie.asked"]) == ["a", "b"]
    route = said(traced.named("route"))
    assert route["coterie.chosen"] == ("a", "b")
    assert route["coterie.skills"] == ("sql",)


async def test_a_failure_is_told_by_its_kind_and_nobodys_words(
    tmp_path: Path, sqlite_url: str
) -> None:
    traced = Traced()
    async with servers(breaks, answers) as upstreams:
        experts = [{"name": n, "endpoint": u.url} for n, u in zip("ab", upstreams, strict=True)]
        made = gateway(tmp_path, experts, database_url=sqlite_url, tracing=traced.tracing)
        async with made as found:
            assert text_of(await found.chat()) == "forty two it is"
            assert (await found.chat(model="a")).status_code >= 500
    failed = [span for span in traced.spans if span.name == "chat a"]
    assert len(failed) == 2
    for span in failed:
        assert span.status.status_code is StatusCode.ERROR
        assert said(span)["error.type"] == "unavailable"
    everything = "\n".join(span.to_json() for span in traced.spans)
    for words in ("How many?", "forty", "too much"):
        assert words not in everything


def test_names_are_those_of_the_conventions() -> None:
    conventions = {
        value
        for module in (gen_ai, error_attributes, http_attributes, url_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    ours = {v for n, v in vars(names).items() if n.isupper() and isinstance(v, str) and "." in v}
    assert len(ours) > 20
    assert {name for name in ours if not name.startswith("coterie.")} <= conventions


def test_without_a_collector_nobody_traces() -> None:
    assert isinstance(tracing_of({}), NoTracing)
    off = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}
    assert isinstance(tracing_of(off), NoTracing)


async def test_no_header_goes_out_where_nobody_traces(tmp_path: Path, sqlite_url: str) -> None:
    async with servers(answers) as (good,):
        experts = [{"name": "good", "endpoint": good.url}]
        async with gateway(tmp_path, experts, database_url=sqlite_url) as found:
            await found.chat()
    assert "traceparent" not in good.calls[0].headers


async def test_spans_reach_a_collector() -> None:
    bodies: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        assert length
        bodies.append(head + await reader.readexactly(int(length[1])))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    collector = await asyncio.start_server(take, "127.0.0.1", 0)
    async with collector:
        port = collector.sockets[0].getsockname()[1]
        tracing = tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
        with tracing.span("a span of ours"):
            pass
        async with asyncio.timeout(20):
            await tracing.aclose()
    [body] = bodies
    assert body.startswith(b"POST /v1/traces ")
    spans = ExportTraceServiceRequest.FromString(body.partition(b"\r\n\r\n")[2])
    [resource] = spans.resource_spans
    told = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert told["service.name"] == "coterie"
    assert resource.scope_spans[0].spans[0].name == "a span of ours"


class Stuck(SpanProcessor):
    """Never done, until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.ended = threading.Event()

    def shutdown(self) -> None:
        self.let_go.wait(20)
        self.ended.set()


async def test_a_collector_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "LAST_S", 0.01)
    stuck = Stuck()
    await OtelTracing(stuck).aclose()
    assert not stuck.ended.is_set()
    stuck.let_go.set()
    assert await asyncio.to_thread(stuck.ended.wait, 10)


def test_nothing_of_opentelemetry_is_loaded_where_nobody_traces() -> None:
    look = (
        "import sys, orchestrator.observability.observer, orchestrator.engines.openai\n"
        "from orchestrator.observability.collector import tracing_of\n"
        "tracing_of({})\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_way_that_is_not_spoken_is_told() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with pytest.raises(ConfigurationError, match="4318"):
        tracing_of(environ)
