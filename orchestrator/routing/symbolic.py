"""Symbolic routing: recruit by the skills a question needs.

Source: Symbolic-MoE (arXiv 2503.05641, section 3.2), with three changes: an expert's local score
is a probability with a spread instead of a sum of ±1; recruiting is deterministic instead of
sampled with replacement; and no one is asked who could not change the answer.
"""

from __future__ import annotations

from coterie.types import Candidate, Route, SkillWeight
from orchestrator.routing.base import Policy, Pool, rank


class SymbolicRouter:
    """Asks the best expert alone when it is sure enough, else the comparable few."""

    name = "symbolic"

    def route(self, skills: tuple[SkillWeight, ...], pool: Pool, policy: Policy) -> Route:
        candidates = rank(skills, pool)
        best = candidates[0]
        comparable = _comparable(candidates, policy)
        alone = best.score >= policy.confidence or len(comparable) == 1
        chosen = (best.expert,) if alone else comparable[: policy.first]
        reserve = comparable[len(chosen) : policy.most]
        return Route(
            self.name, skills, candidates, chosen, reserve, _reason(candidates, comparable, policy)
        )


def _comparable(candidates: tuple[Candidate, ...], policy: Policy) -> tuple[str, ...]:
    floor = policy.comparable * candidates[0].score
    return tuple(c.expert for c in candidates if c.score >= floor)


def _reason(candidates: tuple[Candidate, ...], comparable: tuple[str, ...], policy: Policy) -> str:
    best = candidates[0]
    margin = ""
    if len(candidates) > 1:
        margin = f"; next is {candidates[1].expert} at {candidates[1].score:.2f}"
    if best.score >= policy.confidence:
        return f"{best.expert} is sure enough alone at {best.score:.2f}{margin}"
    if len(comparable) == 1:
        return f"no other expert comes near {best.expert} at {best.score:.2f}{margin}"
    return (
        f"best is {best.expert} at {best.score:.2f}, under {policy.confidence:.2f}: "
        f"{min(len(comparable), policy.first)} comparable experts vote{margin}"
    )
