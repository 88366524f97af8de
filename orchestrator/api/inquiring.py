"""From a chat request to an inquiry that may be made: who is named, and what the key allows."""

from __future__ import annotations

from dataclasses import replace

from fastapi import Request

from coterie.types import Route, Sampling
from orchestrator.api.deps import caller_of
from orchestrator.api.wishing import strategy_of, wishes_of
from orchestrator.inquiry import Inquiry
from orchestrator.keys.budget import NOTHING, Spent
from orchestrator.keys.estimate import choices_of, most_spent, prompt_tokens
from orchestrator.keys.key import Caller
from orchestrator.keys.meter import Pass
from orchestrator.parts import Parts
from orchestrator.protocol.chat import ChatRequest
from orchestrator.protocol.models import addressee
from orchestrator.routing import falls_on
from orchestrator.wishes import NO_WISHES


def to_inquiry(body: ChatRequest, request: Request, parts: Parts) -> Inquiry:
    """Reads ``model``: ``coterie``, ``coterie/STRATEGY``, or an expert's name.

    An expert is asked for all choices at once; of several answers each is an inquiry of its own
    (:mod:`orchestrator.api.choices`).  Raises :class:`ModelNotAllowed` where the caller's key may
    not use the model, and :class:`RequestError` naming what cannot be honoured.
    """
    caller = caller_of(request)
    parts.roster.check_chats(body.model)
    to = addressee(body.model, {e.name for e in parts.roster.enabled})
    if to.expert:
        caller.check_expert(to.expert)
    chosen = falls_on(parts.roster.snapshot.knowledge.choices)
    sampling = body.sampling
    inquiry = Inquiry(
        id=request.state.request_id,
        model=body.model,
        question=body.question,
        sampling=_all_choices(sampling, body.choices) if to.expert else sampling,
        strategy=to.strategy if to.expert else caller.strategy(strategy_of(body, to), chosen),
        expert=to.expert,
        stream=bool(body.stream),
        trace=body.wants_trace,
        key=caller.id,
        contents=caller.contents,
        experts=caller.experts,
    )
    wishes = wishes_of(body, inquiry, caller, parts)
    return inquiry if wishes is NO_WISHES else replace(inquiry, wishes=wishes)


def _all_choices(sampling: Sampling, choices: int) -> Sampling:
    return sampling if choices == 1 else replace(sampling, extra={**sampling.extra, "n": choices})


async def admitted(inquiry: Inquiry, caller: Caller, parts: Parts) -> Pass:
    """Leave for the inquiry; raises RateExceeded or QuotaExceeded where its key has used what it
    may."""
    question, sampling, named = inquiry.question, inquiry.sampling, inquiry.wishes.experts

    def most(tokens: int) -> Spent:
        if inquiry.expert:
            one = most_spent(tokens, sampling, [parts.roster.expert(inquiry.expert)], 1)
            return sum((one,) * choices_of(sampling), NOTHING)
        experts = [e for e in parts.roster.enabled if caller.may_ask(e.name)]
        experts = [e for e in experts if e.name in named] if named else experts
        answers = parts.coterie.services.policy.at_most(inquiry.wishes.most).most
        return most_spent(tokens, sampling, experts, answers)

    return await parts.meter.admit(
        inquiry.id, caller, lambda: prompt_tokens(question, sampling), most
    )


def why_headers(route: Route, experts: list[str], overhead_ms: float) -> dict[str, str]:
    """Who was asked, by which strategy, and what deciding cost."""
    return {
        "x-coterie-experts": ",".join(experts),
        "x-coterie-strategy": route.strategy,
        "x-coterie-overhead-ms": f"{overhead_ms:.2f}",
    }
