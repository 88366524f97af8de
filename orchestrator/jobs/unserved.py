"""Whose work lies there and nobody does it, and what can be done about that.  Pure.

A worker gives up on an engine that does not start, and fails what only it could serve; what no
worker ever claims is nobody's to fail, and would be waited for without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.scheduling.work import WorkerState

SILENT_S = 10.0
"""How long nothing may come of an expert's work before the workers are looked at."""
LOAD_S = 60.0
"""How long an engine that nothing else keeps down may take to come up before it is told of."""
TURN_S = 600.0
"""How long an expert may wait while its workers do other work before it is told of."""


def unserved(
    idle_s: Mapping[str, float], workers: Sequence[WorkerState], quiet_s: float
) -> dict[str, str]:
    """Why nobody serves an expert, and what to do, by its name.

    ``idle_s`` is for how many seconds nothing has come of each expert's work; ``quiet_s`` for how
    many no worker has been seen at work.
    """
    found = {name: _why(name, idle, workers, quiet_s) for name, idle in sorted(idle_s.items())}
    return {name: told for name, told in found.items() if told}


def _why(expert: str, idle_s: float, workers: Sequence[WorkerState], quiet_s: float) -> str:
    if idle_s < SILENT_S:
        return ""
    if not workers:
        return "no worker is alive: start one with `coterie worker`; the log of the last says more"
    able = [w for w in workers if expert in w.experts and not w.draining]
    if not able:
        return (
            f"none of the workers ({', '.join(w.name for w in workers)}) can serve it: their logs "
            f"say why; start one that can, or {_aside(expert)}"
        )
    if any(expert in w.resident for w in able):
        return ""  # it is up, and slow
    waited_s = min(idle_s, quiet_s)
    if waited_s >= LOAD_S:
        return (
            f"its engine is not up after {waited_s:.0f} s: `coterie experts list` and its log say "
            f"why; it is waited for, unless you {_aside(expert)}"
        )
    if idle_s >= TURN_S:
        return (
            f"it has not had its turn for {idle_s / 60:.0f} min, while its workers do other work: "
            f"wait, start another worker, or {_aside(expert)}"
        )
    return ""


def _aside(expert: str) -> str:
    return f"let others answer instead with `coterie experts disable {expert}`"
