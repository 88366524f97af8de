"""Adds the α of fused answers to a why-record, where the request asked for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from coterie.types import as_jsonable
from orchestrator.engines.alpha_traces import AlphaTrace, AlphaTraces, traces_folder
from orchestrator.inquiry import Outcome
from orchestrator.parts import Parts
from orchestrator.why import outcome_record


def answered_record(outcome: Outcome, parts: Parts) -> dict[str, Any]:
    """The why-record of an answered request, with its traces of α; each can be read once."""
    record = outcome_record(outcome)
    if not outcome.inquiry.trace:
        return record
    # Small files of this machine, and only where they are asked for: no thread is needed.
    found = AlphaTraces(traces_folder(parts.settings.home)).take(outcome.inquiry.id)
    told = [*found, *untraced(_fused(outcome, parts), found)]
    return {**record, "alpha": [as_jsonable(trace) for trace in told]}


def untraced(fused: Collection[str], found: Sequence[AlphaTrace]) -> list[AlphaTrace]:
    """Says of every fused expert that answered without leaving a trace that there is none."""
    why = "no trace of it is on this machine: its engine writes none, or had to remove it"
    seen = {trace.expert for trace in found}
    return [AlphaTrace(expert, problem=why) for expert in sorted(set(fused) - seen)]


def _fused(outcome: Outcome, parts: Parts) -> list[str]:
    experts = parts.roster.snapshot.experts
    answered = (*outcome.completions, *((outcome.synthesis,) if outcome.synthesis else ()))
    known = [experts[c.expert] for c in answered if c.expert in experts]
    return [expert.name for expert in known if expert.fusion]
