"""What counting, timing and tracing cost a request, in microseconds of processor time.

    python benchmarks/observability.py

Walks an empty application and an answer of one expert in five steps with and without observation;
nothing is sent anywhere, and spans are dropped as soon as they end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from coterie.types import (
    Candidate,
    Completion,
    Expert,
    ExpertKind,
    Question,
    Route,
    Sampling,
    Usage,
    Verdict,
)
from orchestrator.api.observed import Observed
from orchestrator.inquiry import Call, Inquiry, Outcome, Routed
from orchestrator.observability import catalogue
from orchestrator.observability.metrics import Metrics
from orchestrator.observability.observer import Observer
from orchestrator.observability.tracing import Tracing

TIMES, ROUNDS = 5_000, 5
EXPERT = Expert("a", ExpertKind.OPENAI, "m")
INQUIRY = Inquiry("id", "coterie", Question.of("?"), Sampling(max_tokens=9), "auto", key="k")
ROUTE = Route("auto", (), (Candidate("a", 1.0, 0.0, ()),), ("a",), (), "it is the best")
CALL = Call("a", "answer", Usage(7, 3), 0.01, 0.5)
ANSWER = Completion("a", "forty two", "stop", Usage(7, 3), 0.5)
OUTCOME = Outcome(
    INQUIRY, ROUTE, (ANSWER,), (), Verdict("a", 1.0, {}, "alone"), ANSWER, None, None, (CALL,)
)
SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "raw_path": b"/v1/chat/completions",
    "headers": [(b"host", b"a"), (b"content-type", b"application/json")],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def receive() -> Any:
    return {}


async def send(message: Any) -> None:
    pass


def request(of: Any) -> Callable[[], Awaitable[None]]:
    async def go() -> None:
        await of(dict(SCOPE), receive, send)

    return go


def answer(observer: Observer) -> Callable[[], Awaitable[None]]:
    async def go() -> None:
        with observer.answering(INQUIRY) as answering:
            for name in ("infer", "route", "ask", "judge", "answer"):
                with observer.step(name):
                    if name == "route":
                        answering.see(Routed(ROUTE, 1.0))
                    elif name == "ask":
                        with observer.call(EXPERT, "answer", INQUIRY.sampling):
                            answering.see(CALL)
            answering.answered(OUTCOME)

    return go


async def microseconds(work: Callable[[], Awaitable[None]]) -> float:
    """The least of several rounds: others on this machine only ever add to it."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            await work()
        found.append((time.process_time() - began) / TIMES * 1e6)
    return min(found)


def traced() -> Tracing:
    from opentelemetry.sdk.trace import SpanProcessor

    from orchestrator.observability.otel import OtelTracing

    return OtelTracing(SpanProcessor())


async def scrape(experts: int = 100, endpoints: int = 60) -> None:
    """What a scrape of many experts takes, each of which was asked by four strategies."""
    names = [f"expert-{n}" for n in range(experts)]
    metrics = Metrics(lambda: set(names))
    for name in names:
        metrics.observe(catalogue.CALL_SECONDS, 0.1, name)
        metrics.count(catalogue.COST, name)
        for strategy in ("auto", "all", "symbolic", "direct"):
            metrics.count(catalogue.ROUTED_EXPERTS, strategy, name)
        for result in ("ok", "timeout"):
            metrics.count(catalogue.CALLS, name, "answer", result)
        for direction in ("input", "output"):
            metrics.count(catalogue.TOKENS, name, direction)
        for gauge in (catalogue.EXPERT_UP, catalogue.EXPERT_CALLS, catalogue.EXPERT_QUEUE):
            metrics.gauge(gauge).labels(name).set(1)
        metrics.gauge(catalogue.BREAKER).labels(name, "http://a:8000").set(0)
    for n in range(endpoints):
        metrics.observe(catalogue.REQUEST_SECONDS, 0.1, f"/v1/{n}")
        metrics.count(catalogue.REQUESTS, "GET", f"/v1/{n}", "2xx")
    began = time.process_time()
    text = await metrics.exposition()
    took_ms = (time.process_time() - began) * 1000
    lines = len(text.splitlines())
    print(f"a scrape of {experts} experts: {lines} lines, {took_ms:.0f} ms")


async def main() -> None:
    await scrape()
    access = logging.getLogger("coterie.access")
    access.addHandler(logging.NullHandler())
    access.propagate = False
    access.setLevel(logging.INFO)
    bare = await microseconds(request(app))
    for name, tracing in (("metrics", None), ("metrics and traces", traced())):
        observer = Observer(Metrics(lambda: {"a"}), tracing)
        for logs in (False, True):
            outside = await microseconds(request(Observed(app, observer, logs=logs))) - bare
            inside = await microseconds(answer(observer))
            told = f"{name}{' and access log' if logs else ''}"
            print(f"{told}: request {outside:.1f} µs, answer {inside:.1f} µs")


asyncio.run(main())
