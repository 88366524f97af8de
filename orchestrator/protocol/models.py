"""Reads what a request's ``model`` names: the coterie, one of its strategies, or an expert."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from coterie.errors import UnknownModel
from orchestrator.routing import DEFAULT_STRATEGY, DIRECT, OFFERED, STRATEGIES

AUTO = "coterie"


@dataclass(frozen=True, slots=True)
class Addressee:
    """Who is to answer: ``expert`` by name, or whom ``strategy`` chooses."""

    strategy: str = DEFAULT_STRATEGY
    expert: str | None = None


def addressee(model: str, experts: Collection[str]) -> Addressee:
    """Reads ``coterie``, ``coterie/STRATEGY``, or the name of one of the enabled ``experts``."""
    if model == AUTO:
        return Addressee()
    strategy = model.removeprefix(f"{AUTO}/")
    if strategy != model and strategy in STRATEGIES:
        return Addressee(strategy)
    if strategy != model or model not in experts:
        raise unknown(model, experts)
    return Addressee(DIRECT, model)


def unknown(model: str, experts: Collection[str]) -> UnknownModel:
    """The error that lists what there is."""
    known = [AUTO, *(f"{AUTO}/{s}" for s in OFFERED), *sorted(experts)]
    return UnknownModel(
        f"the model {model!r} does not exist; there are {', '.join(known)}", param="model"
    )
