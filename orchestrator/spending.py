"""Keeps what one request costs within its own budget, before anybody is asked.  Pure.

A call counts with what it may cost at most: the prompt's tokens by estimate, and an answer as long
as it may be (:mod:`orchestrator.keys.estimate`).  Experts without prices cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coterie.errors import RequestError
from coterie.types import Completion, Expert, Failure, Question, Sampling, Usage
from orchestrator.keys.estimate import answer_tokens, choices_of, prompt_tokens

OVER_BUDGET = "over_budget"
"""Code of a call that was not made."""


def most_usd(expert: Expert, question: Question, sampling: Sampling) -> float:
    """What the expert's answer may cost, all of its choices together."""
    answer = choices_of(sampling) * answer_tokens(expert, sampling)
    usage = Usage(prompt_tokens(question, sampling), answer)
    return expert.cost_usd(usage)


def affordable(
    experts: Sequence[Expert], question: Question, sampling: Sampling, budget_usd: float
) -> list[Expert]:
    """Those whose answer cannot cost more; raises :class:`RequestError` where there is none."""
    prices = [(most_usd(e, question, sampling), e) for e in experts]
    if found := [e for usd, e in prices if usd <= budget_usd]:
        return found
    least, cheapest = min(prices, key=lambda p: p[0])
    raise RequestError(
        f"the budget of ${budget_usd:g} does not reach for an answer: that of the cheapest expert, "
        f"{cheapest.name!r}, may cost ${least:.6f}; raise 'coterie.budget', or lower 'max_tokens'",
        param="coterie.budget",
    )


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a request's budget, now that ``replies`` have come; None: there is none.

    ``experts`` are all that there are, by name: who is gone meanwhile costs nothing.
    """

    budget_usd: float | None
    experts: Mapping[str, Expert]
    replies: Iterable[Completion | Failure]

    def within(
        self, names: tuple[str, ...], question: Question, sampling: Sampling
    ) -> tuple[str, ...]:
        """The first of ``names`` that may all be asked the question."""
        if self.budget_usd is None:
            return names
        left_usd = self.budget_usd - sum(self._cost_usd(r.expert, r.usage) for r in self.replies)
        for at, name in enumerate(names):
            expert = self.experts.get(name)
            left_usd -= most_usd(expert, question, sampling) if expert else 0.0
            if left_usd < 0:
                return names[:at]
        return names

    def _cost_usd(self, name: str, usage: Usage | None) -> float:
        expert = self.experts.get(name)
        return expert.cost_usd(usage) if expert and usage else 0.0


def not_asked(name: str) -> Failure:
    """An expert that the budget did not reach for."""
    told = f"expert {name!r}: asking it may cost more than the request's budget leaves"
    return Failure(name, told, 0.0, code=OVER_BUDGET)
