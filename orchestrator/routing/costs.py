"""What asking an expert is expected to take: money or work, and time.

==================  ============================================================================
pool                cost of one answer
==================  ============================================================================
everybody has       US dollars: prompt and completion price per million tokens × expected tokens
prices
nobody has          work: active parameters (billions) × expected completion tokens
mixed               work; an expert with prices counts as the parameters its completion price pays
                    for at ``DOLLARS_PER_BILLION``
==================  ============================================================================

Parameters: active, else total, else what the completion price pays for, else the largest of the
pool's.  Completion tokens: as profiled, else the mean over the remembered answers, else the pool's
mean, else 1; prompt tokens: as profiled, else the pool's mean, else as many as the completion's.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coterie.types import Effort, Expert
from skills.knowledge import Knowledge

DOLLARS_PER_BILLION = 0.01
"""US dollars per million completion tokens and billion active parameters: about what hosts of open
models ask.  Used only where some experts of a pool have prices and others do not."""
UNMEASURED = Effort(prompt_tokens=None, completion_tokens=None, latency_s=None, n=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """What one answer of each of ``e`` experts takes.

    ``expected``: (e) in ``unit``, "usd" or "work"; ``relative``: (e) the same with what one answer
    of the pool's best single expert takes as 1; ``latency_s``: (e) seconds, NaN where it was never
    measured.
    """

    unit: Literal["usd", "work"]
    expected: NDArray[np.float64]
    relative: NDArray[np.float64]
    latency_s: NDArray[np.float64]

    def too_slow(self, latency_s: float | None) -> NDArray[np.bool_] | None:
        """(e) who takes longer than ``latency_s``; None where nobody does, or everybody.

        An expert whose latency was never measured is not held to be slow.
        """
        if latency_s is None:
            return None
        slow = self.latency_s > latency_s
        return slow if slow.any() and not slow.all() else None


def costs_of(experts: Sequence[Expert], knowledge: Knowledge) -> Costs:
    """The costs of ``experts``, in that order."""
    profiles = [knowledge.profile(e.name) for e in experts]
    efforts = [p.effort or UNMEASURED for p in profiles]
    remembered = _remembered_tokens(experts, knowledge)
    completion = np.array([_number(e.completion_tokens) for e in efforts])
    completion = _filled(np.where(np.isnan(completion), remembered, completion), 1.0)
    prompt = _filled(np.array([_number(e.prompt_tokens) for e in efforts]), completion)
    unit, expected = _expected(experts, prompt, completion)
    best = int(np.argmax([p.overall.mean for p in profiles]))
    latency = np.array([_number(e.latency_s) for e in efforts])
    return Costs(unit, expected, _relative(expected, best), latency)


def _expected(
    experts: Sequence[Expert], prompt: NDArray[np.float64], completion: NDArray[np.float64]
) -> tuple[Literal["usd", "work"], NDArray[np.float64]]:
    asked = np.array([e.prompt_price for e in experts])
    answered = np.array([e.completion_price for e in experts])
    if ((asked > 0) | (answered > 0)).all():
        return "usd", (prompt * asked + completion * answered) / 1e6
    size = np.array([_number(e.active_params_b or e.total_params_b) for e in experts])
    size = np.where(np.isnan(size) & (answered > 0), answered / DOLLARS_PER_BILLION, size)
    return "work", np.where(np.isnan(size), _largest(size), size) * completion


def _relative(expected: NDArray[np.float64], best: int) -> NDArray[np.float64]:
    """In answers of the best; of the dearest where the best is free, and 0 where everyone is."""
    unit = expected[best] or expected.max()
    return expected / unit if unit else np.zeros_like(expected)


def _remembered_tokens(experts: Sequence[Expert], knowledge: Knowledge) -> NDArray[np.float64]:
    """(e) the mean length of the answers in memory, NaN where none has one."""
    found = np.full(len(experts), np.nan)
    if knowledge.memory is not None:
        column = {name: i for i, name in enumerate(knowledge.memory.experts)}
        for i, expert in enumerate(experts):
            if expert.name in column:
                tokens = knowledge.memory.tokens[:, column[expert.name]]
                known = tokens[np.isfinite(tokens)]
                found[i] = known.mean() if len(known) else np.nan
    return found


def _filled(
    values: NDArray[np.float64], default: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """``values`` with their mean, or ``default`` where there is none, in place of NaN."""
    known = values[np.isfinite(values)]
    return np.where(np.isfinite(values), values, known.mean() if len(known) else default)


def _largest(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else 1.0


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
