"""Which engines would be moved next, if nothing else came: the planner, asked on and on.  Pure.

Whatever runs is taken to end, and whatever waits of an expert to be done in one go: what is
foretold is the order of the moves, not their time.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.stay import EngineView, Planner, View
from orchestrator.scheduling.steps import Move, Run
from orchestrator.scheduling.work import Depth

MOST_MOVES = 6
MOST_STEPS = 40


def upcoming(planner: Planner, view: View) -> tuple[Move, ...]:
    """The next moves after those that are going on, at most ``MOST_MOVES``."""
    found: list[Move] = []
    view = _arrived(view)
    for _ in range(MOST_STEPS):
        step = planner.next_step(view)
        if isinstance(step, Move):
            found.append(step)
            view = _with(view, step.engine, _moved(view.engine(step.engine), step.tier))
        elif isinstance(step, Run):
            view = _run(view, step)
        elif any(engine.at_hand for engine in view.engines.values()):
            view = _drained(view)
        else:
            break
        if len(found) == MOST_MOVES:
            break
    return tuple(found)


def _arrived(view: View) -> View:
    arrived = {
        name: _moved(engine, engine.moving) if engine.moving is not None else engine
        for name, engine in view.engines.items()
    }
    return replace(view, engines=arrived)


def _moved(engine: EngineView, tier: Tier) -> EngineView:
    return replace(engine, tier=tier, moving=None, at_hand=0, awake_s=0.0, idle_s=0.0)


def _run(view: View, step: Run) -> View:
    """All that waits of the expert is begun."""
    parties = tuple(
        p for p in view.parties if p.expert != step.expert or p.online is not step.online
    )
    depths = view.depths
    if not step.online and step.expert in depths:
        before = depths[step.expert]
        depths = {**depths, step.expert: Depth(0, before.claimed + before.waiting)}
    engine = view.engine(step.engine)
    busy = replace(engine, at_hand=engine.at_hand + 1)
    return _with(replace(view, parties=parties, depths=depths), step.engine, busy)


def _drained(view: View) -> View:
    """What runs is done."""
    engines = {
        name: replace(e, at_hand=0, room=e.room + e.at_hand, idle_s=0.0)
        for name, e in view.engines.items()
    }
    return replace(view, engines=engines)


def _with(view: View, name: str, engine: EngineView) -> View:
    return replace(view, engines={**view.engines, name: engine})
