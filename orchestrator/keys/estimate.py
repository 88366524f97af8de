"""What a request may cost at most, as far as that can be told before it is answered.  Pure.

The prompt's tokens are estimated from its text; each answer is taken to be as long as it may be,
and each call to go to the dearest expert that may be asked::

    answers  = min(COTERIE_MAX_EXPERTS, experts that may be asked), or 1 for one asked by name
    answer   = max_tokens of the request, else of the expert, else 2048
    tokens   = answers · (prompt + answer)  +  [prompt + answers · answer + answer]
    dollars  = the same, each part at the dearest expert's prices

The part in brackets is the aggregator's call, where more than one may answer.  Most requests take
far less: what they did not take is given back as soon as they are over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from aggregator.token_estimate import counter_of
from coterie.types import Expert, Question, Sampling, Usage
from orchestrator.keys.budget import Spent

UNSAID = 2048
"""Tokens of an answer where neither the request nor the expert bounds them."""
PER_MESSAGE = 8
"""Tokens that a chat template adds."""

text_tokens = counter_of(())
"""About how many tokens a text has, and a tenth more."""


def prompt_tokens(question: Question, sampling: Sampling) -> int:
    """About how many tokens the prompt has, tools and schemas included, and a tenth more."""
    turns = (m.text if isinstance(m.content, str) else _json(m.content) for m in question.messages)
    text = sum(text_tokens(turn) for turn in turns)
    fields = sum(text_tokens(_json(m.fields)) for m in question.messages if m.fields)
    extra = text_tokens(_json(sampling.extra)) if sampling.extra else 0
    return text + fields + extra + PER_MESSAGE * (len(question.messages) + 1)


def most_spent(
    prompt: int, sampling: Sampling, experts: Sequence[Expert], answers: int, *, writes: bool = True
) -> Spent:
    """What up to ``answers`` of ``experts`` may take for a prompt of so many tokens; ``writes``:
    and one of them making one answer of theirs."""
    if not experts:
        return Spent()
    answers = max(1, min(answers, len(experts)))
    longest = {e.name: answer_tokens(e, sampling) for e in experts}
    asked = max((_of(e, prompt, longest[e.name]) for e in experts), key=lambda s: s.usd)
    tokens = prompt + max(longest.values())
    spent = Spent(answers * asked.usd, answers * tokens)
    if answers == 1 or not writes:
        return spent
    shown = prompt + answers * max(longest.values())
    writing = max(_of(e, shown, longest[e.name]).usd for e in experts)
    return spent + Spent(writing, shown + max(longest.values()))


def choices_of(sampling: Sampling) -> int:
    """How many choices one call is asked for."""
    wanted = sampling.extra.get("n")
    return wanted if isinstance(wanted, int) else 1


def answer_tokens(expert: Expert, sampling: Sampling) -> int:
    """How many tokens an answer of the expert has at most, where that is bounded."""
    most = sampling.over(expert.defaults).max_tokens or UNSAID
    return min(most, expert.context_length) if expert.context_length else most


def _of(expert: Expert, prompt: int, answer: int) -> Spent:
    return Spent(expert.cost_usd(Usage(prompt, answer)), prompt + answer)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
