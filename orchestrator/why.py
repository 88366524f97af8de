"""The why-record: what is kept of a request, and shown at ``/v1/routes/{id}``.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coterie.types import Candidate, Completion, Route, Usage, as_jsonable
from orchestrator.inquiry import Call, Inquiry, Outcome, cost_of, usage_of
from orchestrator.wishes import NO_WISHES, told

KEPT_CANDIDATES = 10
"""Candidates that a kept record tells of, besides those chosen and in reserve: of hundreds, nobody
asks why the last was not chosen, and they would be most of what is kept."""


def route_record(inquiry: Inquiry, route: Route, most: int | None = None) -> dict[str, Any]:
    """What was decided before anyone was asked; the ``most`` best candidates, or all of them."""
    shown = _told(route, most)
    return {
        "id": inquiry.id,
        "model": inquiry.model,
        "key": inquiry.key,
        "contents": inquiry.contents,
        "strategy": route.strategy,
        "question": inquiry.question.text,
        "skills": [as_jsonable(s) for s in route.skills],
        "candidates": [_candidate(c) for c in shown],
        "candidates_left_out": len(route.candidates) - len(shown),
        "chosen": list(route.chosen),
        "reserve": list(route.reserve),
        "reason": route.reason,
        "snapshot": route.snapshot,
        **({"traced": True} if inquiry.trace else {}),
        **({} if inquiry.wishes is NO_WISHES else {"wishes": told(inquiry.wishes)}),
    }


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """The whole story of an answered request."""
    synthesis = outcome.synthesis
    return {
        **route_record(outcome.inquiry, outcome.route, KEPT_CANDIDATES),
        "status": "answered",
        "answers": [_answer(c) for c in outcome.completions],
        "failures": [as_jsonable(f) for f in outcome.failures],
        "votes": as_jsonable(outcome.verdict.votes),
        "agreement": outcome.verdict.agreement,
        "verdict": outcome.verdict.reason,
        "aggregation": as_jsonable(outcome.aggregation),
        "synthesis": _answer(synthesis) if synthesis else None,
        "answer": {"expert": outcome.answer.expert, "text": outcome.answer.text},
        **_spent(outcome.calls),
        "steps_ms": {k: round(v, 3) for k, v in outcome.steps_ms.items()},
        "overhead_ms": round(outcome.overhead_ms, 3),
    }


def explanation(outcome: Outcome) -> dict[str, Any]:
    """How the answer came about, for whoever gets the answer itself: no texts."""
    record = outcome_record(outcome)
    kept = {name: value for name, value in record.items() if name not in _NOT_EXPLAINED}
    return {**kept, "expert": outcome.answer.expert}


_NOT_EXPLAINED = ("key", "contents", "question", "status", "answers", "synthesis", "answer")


def failure_record(
    inquiry: Inquiry, route: Route | None, error: str, calls: Sequence[Call] = ()
) -> dict[str, Any]:
    """A request that ended in an error, told as far as it came: ``calls`` are those that ended."""
    return {**unfinished_record(inquiry, route, calls), "status": "failed", "error": error}


def unfinished_record(
    inquiry: Inquiry, route: Route | None, calls: Sequence[Call] = ()
) -> dict[str, Any]:
    """A request that is still being answered, told as far as it came."""
    known = route_record(inquiry, route, KEPT_CANDIDATES) if route else {"id": inquiry.id}
    return {
        "model": inquiry.model,
        "key": inquiry.key,
        "contents": inquiry.contents,
        "strategy": inquiry.strategy,
        "question": inquiry.question.text,
        **known,
        "status": "running",
        **_spent(calls),
    }


def _told(route: Route, most: int | None) -> list[Candidate]:
    named = {*route.chosen, *route.reserve}
    return [
        c
        for rank, c in enumerate(route.candidates)
        if most is None or rank < most or c.expert in named
    ]


def _spent(calls: Sequence[Call]) -> dict[str, Any]:
    """What every call took, and all of them together."""
    return {
        "calls": [_call(c) for c in calls],
        "usage": _usage(usage_of(calls)),
        "cost_usd": cost_of(calls),
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "expert": call.expert,
        "role": call.role,
        "usage": _usage(call.usage) if call.usage else None,
        "cost_usd": call.cost_usd,
        "start_ms": None if call.began_s is None else round(call.began_s * 1000, 1),
        "latency_ms": round(call.latency_s * 1000, 1),
        "error": call.error,
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "expert": candidate.expert,
        "score": candidate.score,
        "sd": candidate.sd,
        "success": candidate.success,
        "terms": [as_jsonable(term) for term in candidate.terms],
        "reason": candidate.reason,
    }


def _answer(completion: Completion) -> dict[str, Any]:
    return {
        "expert": completion.expert,
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.usage.prompt_tokens,
        "completion_tokens": completion.usage.completion_tokens,
        "latency_ms": round(completion.latency_s * 1000, 1),
    }
