"""Reads what a request decides for itself: its ``coterie`` object, and fields that bind who may
answer.  What cannot be honoured is refused by name."""

from __future__ import annotations

from typing import NoReturn

from aggregator.votes import VOTES
from coterie.errors import ConfigurationError, RequestError
from coterie.types import Expert
from orchestrator.inquiry import Inquiry
from orchestrator.keys.key import Caller
from orchestrator.needs import calls_tools
from orchestrator.parts import Parts
from orchestrator.protocol.chat import ChatRequest, CoterieOptions
from orchestrator.protocol.models import Addressee
from orchestrator.routing import OFFERED, ORACLE, STRATEGIES
from orchestrator.voting import check_vote
from orchestrator.wishes import NO_WISHES, Wishes

VOTE, SYNTHESIS = "vote", "synthesis"
_ROUTED = ("strategy", "k", "experts", "aggregator")
"""Options that say who is asked, and how one answer is made of several."""


def strategy_of(body: ChatRequest, to: Addressee) -> str:
    """The strategy that the request wants: that of its ``coterie`` object, else of its model."""
    wanted = body.coterie and body.coterie.strategy
    if not wanted:
        return to.strategy
    if wanted not in STRATEGIES or wanted == ORACLE:
        _refuse("strategy", f"there is no strategy {wanted!r}; choose one of {', '.join(OFFERED)}")
    return wanted


def wishes_of(body: ChatRequest, inquiry: Inquiry, caller: Caller, parts: Parts) -> Wishes:
    """What the request, which is ``inquiry`` otherwise, decides for itself.

    Raises :class:`RequestError` naming what cannot be, and :class:`ModelNotAllowed` for an expert
    that the caller's key may not use.
    """
    named, options = inquiry.expert, body.coterie
    alone = not named and calls_tools(inquiry.question, inquiry.sampling)
    wishes = Wishes(alone=True) if alone else NO_WISHES
    if options is not None:
        wishes = _read(options, named, caller, parts, alone=alone)
    if not named and inquiry.sampling.extra.get("logit_bias"):
        _check_bias(wishes, caller, parts)
    return wishes


def _read(
    options: CoterieOptions, named: str | None, caller: Caller, parts: Parts, *, alone: bool
) -> Wishes:
    if named:
        for name in _ROUTED:
            if getattr(options, name) is not None:
                _refuse(
                    name,
                    f"the model {named!r} is an expert, and is asked alone; name 'coterie' as "
                    "the model, or leave it out",
                )
    experts = tuple(dict.fromkeys(options.experts or ()))
    for name in experts:
        _check_expert(name, "experts", caller, parts)
    vote, writes, writer = _aggregator(options.aggregator, caller, parts)
    return Wishes(
        strategy=options.strategy,
        k=_k(options.k, parts),
        experts=experts,
        budget_usd=options.budget,
        vote=vote,
        writes=writes,
        writer=writer,
        explain=options.explain,
        conversation=options.conversation or "",
        alone=alone,
    )


def _k(wanted: int | None, parts: Parts) -> int | None:
    most = parts.coterie.services.policy.most
    if wanted is not None and wanted > most:
        _refuse("k", f"this server asks {most} experts at most (COTERIE_MAX_EXPERTS): ask for less")
    return wanted


def _aggregator(
    wanted: str | None, caller: Caller, parts: Parts
) -> tuple[str | None, bool | None, str | None]:
    """The vote, whether one answer is written of many, and by whom."""
    if wanted is None:
        return None, None, None
    if wanted in (VOTE, SYNTHESIS):
        return None, wanted == SYNTHESIS, None
    if wanted in VOTES:
        try:
            check_vote(wanted, parts.roster.snapshot.knowledge)
        except ConfigurationError as error:
            _refuse("aggregator", str(error))
        return wanted, None, None
    _check_expert(wanted, "aggregator", caller, parts)
    return None, True, wanted


def _check_expert(name: str, option: str, caller: Caller, parts: Parts) -> None:
    asked = [e.name for e in parts.roster.enabled if caller.may_ask(e.name)]
    if name in asked:
        return
    if name in parts.roster.snapshot.experts:
        caller.check_expert(name)
    others = ", ".join(asked) or "none"
    more = f"; or {VOTE}, {SYNTHESIS}, {', '.join(VOTES)}" if option == "aggregator" else ""
    _refuse(option, f"no expert {name!r} is enabled; there are {others}{more}")


def _check_bias(wishes: Wishes, caller: Caller, parts: Parts) -> None:
    """Token ids mean something in one vocabulary alone: that of an engine."""
    named = wishes.experts
    pool: list[Expert] = [
        e
        for e in parts.roster.enabled
        if (e.name in named if named else e.recruited) and caller.may_ask(e.name)
    ]
    if len({e.host for e in pool}) > 1:
        raise RequestError(
            "'logit_bias' cannot be honoured: its token ids are those of one expert's vocabulary, "
            "and several experts may be asked; name one as the model",
            param="logit_bias",
        )


def _refuse(option: str, why: str) -> NoReturn:
    raise RequestError(f"'coterie.{option}' cannot be honoured: {why}", param=f"coterie.{option}")
