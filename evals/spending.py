"""What answers cost, in the best unit that is known.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from evals.results import Call, ItemResult, RunResult


class Unit(StrEnum):
    """In what costs are given."""

    USD = "usd"
    """US dollars, by the experts' prices."""
    TOKENS = "completion_tokens"
    """Tokens that were generated: no expert has a price."""
    CALLS = "calls"
    """Completions: not even tokens are known."""


def unit_of(runs: Sequence[RunResult]) -> Unit:
    """Dollars where any expert has a price, else tokens where any were counted, else calls."""
    calls = [call for run in runs for item in run.items for call in item.calls]
    if any(call.cost_usd > 0 for call in calls):
        return Unit.USD
    return Unit.TOKENS if any(call.completion_tokens > 0 for call in calls) else Unit.CALLS


def spent(call: Call, unit: Unit) -> float:
    """What one completion costs, reused or not: the answer would not be there without it."""
    if unit is Unit.USD:
        return call.cost_usd
    return float(call.completion_tokens) if unit is Unit.TOKENS else 1.0


def spent_on(item: ItemResult, unit: Unit) -> float:
    """What all completions of an item cost."""
    return sum(spent(call, unit) for call in item.calls)


def mean_spent(items: Sequence[ItemResult], unit: Unit) -> float:
    """What an item costs on average; 0 without any."""
    return sum(spent_on(item, unit) for item in items) / (len(items) or 1)


def mean_calls(items: Sequence[ItemResult]) -> float:
    """How many completions an item takes on average; 0 without any."""
    return sum(len(item.calls) for item in items) / (len(items) or 1)
