"""Who is best at making one answer of many, and how much of the answers it can read.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

from aggregator.fitting import Room
from aggregator.token_estimate import counter_of
from coterie.types import Completion, Expert, Sampling, SkillWeight
from orchestrator.routing import Policy, Pool

REPLY_TOKENS, REPLY_SHARE = 1024, 0.25
"""What is left of a writer's context for what it writes, where the request does not say: so many
tokens, or so much of the context if that is less."""


def by_aggregation(
    pool: Pool,
    policy: Policy,
    skills: Sequence[SkillWeight],
    experts: Sequence[str],
    failed: Collection[str] = (),
) -> tuple[str, ...]:
    """``experts``, best at aggregating first; before them whoever of the pool is better than all.

    Better is who is likelier to be right where ``skills`` are needed, less what that costs by the
    policy.  Nobody is called in who is too slow by the policy, or among those that ``failed``.
    Whom nobody measured is taken to be as good as the others are on average; equals keep the order
    given, and where nobody was measured, that is the order.
    """
    measured = _measured(pool, skills)
    worth = _worth(pool, policy, measured)
    ranked = tuple(sorted(experts, key=lambda e: -worth.get(e, 0.0)))
    barred = {*experts, *failed, *_too_slow(pool, policy)}
    best = max((e for e in measured if e not in barred), key=lambda e: worth[e], default=None)
    if best is None or (ranked and worth[best] <= worth.get(ranked[0], 0.0)):
        return ranked
    return (best, *ranked)


def _measured(pool: Pool, skills: Sequence[SkillWeight]) -> dict[str, float]:
    """Expected success at making one answer of many, of those of whom it is known."""
    profiles = [pool.knowledge.profile(name) for name in pool.names]
    return {p.expert: p.aggregating(skills) for p in profiles if p.aggregation is not None}


def _worth(pool: Pool, policy: Policy, measured: Mapping[str, float]) -> dict[str, float]:
    """The same less its cost, of everybody; empty where nobody was measured."""
    if not measured:
        return {}
    average = fmean(measured.values())
    weight = policy.cost_weight
    costs = dict(zip(pool.names, pool.costs.relative.tolist(), strict=True)) if weight else {}
    return {e: measured.get(e, average) - weight * costs.get(e, 0.0) for e in pool.names}


def _too_slow(pool: Pool, policy: Policy) -> list[str]:
    slow = pool.costs.too_slow(policy.latency_s) if policy.latency_s is not None else None
    return [] if slow is None else [n for n, s in zip(pool.names, slow, strict=True) if s]


def room_of(expert: Expert, asked: Sampling, completions: Sequence[Completion]) -> Room | None:
    """What the expert can be shown beside what it shall write; None where that is not known."""
    context = expert.context_length
    if context is None:
        return None
    reply = asked.over(expert.defaults).max_tokens
    reply = reply or min(REPLY_TOKENS, int(context * REPLY_SHARE))
    return Room(context - reply, counter_of(completions))
