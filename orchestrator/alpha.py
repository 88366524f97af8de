"""Adds the α of fused answers to why-records whose requests asked for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from coterie.types import Expert, as_jsonable
from orchestrator.engines.alpha_traces import AlphaTrace, AlphaTraces

Record = Mapping[str, Any]

_NONE = "no trace of it is on this machine: its engine writes none, or had to remove it"


@dataclass(frozen=True, slots=True)
class AlphaRecords:
    """``experts`` gives the registered ones as they are now, by name."""

    traces: AlphaTraces
    experts: Callable[[], Mapping[str, Expert]]

    def complete(self, record: Record) -> Record:
        """The record, with its traces read and removed if it is ``traced``; each is read once.

        They are small files of this machine, and read only where they are asked for: no thread is
        needed.
        """
        if not record.get("traced"):
            return record
        found = self.traces.take(str(record.get("id", "")))
        seen = {trace.expert for trace in found}
        missing = sorted(set(filter(self._is_fused, _answered(record))) - seen)
        told = [*found, *(AlphaTrace(expert, problem=_NONE) for expert in missing)]
        return {**record, "alpha": [as_jsonable(trace) for trace in told]}

    def _is_fused(self, expert: str) -> bool:
        found = self.experts().get(expert)
        return found is not None and found.fusion is not None


def _answered(record: Record) -> list[str]:
    answers = [*record.get("answers", ()), record.get("synthesis")]
    return [answer["expert"] for answer in answers if answer]
