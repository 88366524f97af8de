"""Sees how a question becomes an answer, and tells it as metrics and spans.

::

    answering ─┬─ step infer
               ├─ step route
               ├─ step ask ──┬─ call a
               │             └─ call b
               └─ step judge ...

Whoever answers opens these as contexts, and lets it ``see`` what happens inside.  No word of the
conversation goes into either: names, numbers and kinds of errors alone.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from coterie.types import Expert, Route, Sampling
from orchestrator.inquiry import Aggregation, Call, Delta, Event, Inquiry, Outcome, Routed
from orchestrator.observability import attributes as names
from orchestrator.observability import catalogue
from orchestrator.observability.metrics import Metrics
from orchestrator.observability.tracing import Attributes, NoTracing, Tracing, Value

OK: Final = "ok"
FAILED: Final = "failed"
LEFT: Final = "left"
_UNDECIDED: Final = "undecided"
"""The strategy of a question that ended before there was a route."""


class Observer:
    """Counts into ``metrics``, and draws spans with ``tracing``."""

    def __init__(self, metrics: Metrics | None = None, tracing: Tracing | None = None) -> None:
        self.metrics = metrics or Metrics()
        self.tracing: Tracing = tracing or NoTracing()

    def answering(self, inquiry: Inquiry) -> Answering:
        """The whole of one answer."""
        return Answering(self, inquiry)

    def step(self, name: str) -> Step:
        """One step of the graph."""
        return Step(self, name)

    def call(
        self, expert: Expert | None, role: str, sampling: Sampling
    ) -> AbstractContextManager[object]:
        """One call to an expert; that it ended is seen as an event."""
        if not (self.tracing.on and expert):
            return _NO_SPAN.span("")
        said = {
            names.OPERATION: names.CHAT,
            names.PROVIDER: expert.kind.value,
            names.REQUEST_MODEL: expert.model,
            names.EXPERT: expert.name,
            names.ROLE: role,
            **_sampling(sampling),
        }
        return self.tracing.span(f"{names.CHAT} {expert.name}", "client", said)


class Step:
    """Times a step.  A class, as a generator takes three times as long."""

    __slots__ = ("_began_s", "_name", "_observer", "_span")

    def __init__(self, observer: Observer, name: str) -> None:
        self._observer = observer
        self._name = name
        self._span = observer.tracing.span(name) if observer.tracing.on else None

    def __enter__(self) -> None:
        if self._span:
            self._span.__enter__()
        self._began_s = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        took_s = time.perf_counter() - self._began_s
        self._observer.metrics.observe(catalogue.STEP_SECONDS, took_s, self._name)
        if self._span:
            if error:
                self._observer.tracing.failed(type(error).__name__)
            self._span.__exit__(kind, error, traceback)


class Answering:
    """Follows one answer to its end, whatever that is."""

    def __init__(self, observer: Observer, inquiry: Inquiry) -> None:
        self._metrics = observer.metrics
        self._tracing = observer.tracing
        self._inquiry = inquiry
        self._strategy = _UNDECIDED
        self._outcome = ""
        self._awaits_token = inquiry.stream
        self._span = self._tracing.span(f"{names.CHAT} coterie")
        self._began_s = time.perf_counter()

    def __enter__(self) -> Self:
        self._span.__enter__()
        if self._tracing.on:
            asked = self._inquiry
            self._tracing.note(
                {
                    names.OPERATION: names.CHAT,
                    names.PROVIDER: "coterie",
                    names.REQUEST_MODEL: asked.model,
                    names.REQUEST_ID: asked.id,
                    names.KEY_ID: asked.key,
                    **_sampling(asked.sampling),
                }
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._outcome:
            self._outcome = LEFT if isinstance(error, asyncio.CancelledError) else FAILED
        self._metrics.count(catalogue.ANSWERS, self._strategy, self._outcome)
        if error:
            self._tracing.failed(type(error).__name__)
        self._span.__exit__(kind, error, traceback)

    def see(self, event: Event) -> None:
        """Something happened; the span there is now is that of what it happened in."""
        if isinstance(event, Call):
            self._called(event)
        elif isinstance(event, Routed):
            self._routed(event.route)
        elif self._awaits_token and isinstance(event, Delta):
            self._awaits_token = False
            waited_s = time.perf_counter() - self._began_s
            self._metrics.observe(catalogue.FIRST_TOKEN_SECONDS, waited_s)

    def answered(self, outcome: Outcome) -> None:
        """It ended well."""
        self._outcome = _how(outcome.aggregation)
        metrics, agreement = self._metrics, outcome.verdict.agreement
        metrics.observe(catalogue.OVERHEAD_SECONDS, outcome.overhead_ms / 1000)
        if len(outcome.completions) > 1:
            metrics.observe(catalogue.AGREEMENT, agreement, self._strategy)
        if self._tracing.on:
            usage = outcome.usage
            self._tracing.note(
                {
                    names.RESPONSE_ID: f"chatcmpl-{outcome.inquiry.id}",
                    names.RESPONSE_MODEL: outcome.answer.expert,
                    names.FINISH_REASONS: (outcome.answer.finish_reason,),
                    names.INPUT_TOKENS: usage.prompt_tokens,
                    names.OUTPUT_TOKENS: usage.completion_tokens,
                    names.COST_USD: outcome.cost_usd,
                    names.STRATEGY: self._strategy,
                    names.AGREEMENT: agreement,
                    names.OUTCOME: self._outcome,
                    names.ASKED: tuple(call.expert for call in outcome.calls),
                    names.OVERHEAD_MS: outcome.overhead_ms,
                }
            )

    def _routed(self, route: Route) -> None:
        metrics, self._strategy = self._metrics, route.strategy
        metrics.count(catalogue.ROUTES, route.strategy)
        for name in route.chosen:
            metrics.count(catalogue.ROUTED_EXPERTS, route.strategy, metrics.expert(name))
        if self._tracing.on:
            self._tracing.note(
                {
                    names.STRATEGY: route.strategy,
                    names.SNAPSHOT: route.snapshot,
                    names.SKILLS: tuple(weight.skill for weight in route.skills),
                    names.CHOSEN: route.chosen,
                }
            )

    def _called(self, call: Call) -> None:
        metrics, expert = self._metrics, self._metrics.expert(call.expert)
        result = OK if call.error is None else call.kind or FAILED
        metrics.count(catalogue.CALLS, expert, call.role, result)
        metrics.observe(catalogue.CALL_SECONDS, call.latency_s, expert)
        if usage := call.usage:
            metrics.count(catalogue.TOKENS, expert, "input", by=usage.prompt_tokens)
            metrics.count(catalogue.TOKENS, expert, "output", by=usage.completion_tokens)
        if call.cost_usd > 0:
            metrics.count(catalogue.COST, expert, by=call.cost_usd)
        if self._tracing.on:
            self._note(call, result)

    def _note(self, call: Call, result: str) -> None:
        said: dict[str, Value] = {names.COST_USD: call.cost_usd}
        if call.usage:
            said[names.INPUT_TOKENS] = call.usage.prompt_tokens
            said[names.OUTPUT_TOKENS] = call.usage.completion_tokens
        self._tracing.note(said)
        if result != OK:
            self._tracing.failed(result)


_NO_SPAN: Final = NoTracing()


def _how(aggregation: Aggregation | None) -> str:
    if aggregation is None:
        return "answered"
    return "written" if aggregation.writer else "fallback"


def _sampling(sampling: Sampling) -> Attributes:
    given = {
        names.MAX_TOKENS: sampling.max_tokens,
        names.TEMPERATURE: sampling.temperature,
        names.TOP_P: sampling.top_p,
        names.SEED: sampling.seed,
    }
    return {name: value for name, value in given.items() if value is not None}
