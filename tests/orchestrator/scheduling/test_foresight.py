"""What the planner would move next."""

from __future__ import annotations

from orchestrator.scheduling.foresight import MOST_MOVES, upcoming
from orchestrator.scheduling.planned import Planned
from orchestrator.scheduling.residency import Tier
from orchestrator.scheduling.stay import EngineView, StayThenDeepest, View
from orchestrator.scheduling.steps import Move
from orchestrator.scheduling.work import Depth

AWAKE = EngineView(Tier.AWAKE, at_hand=4, room=0, awake_s=100.0)


def view(waiting: dict[str, int], **engines: EngineView) -> View:
    names = {*waiting, *engines}
    depths = {name: Depth(n, 0) for name, n in waiting.items()}
    all_engines = {name: EngineView(Tier.STOPPED, room=8) for name in names} | engines
    return View("w", {n: n for n in names}, all_engines, depths, {}, dict.fromkeys(waiting, 5.0))


def test_nothing_is_foretold_where_nothing_waits() -> None:
    assert upcoming(Planned.of_slots(1), view({}, a=AWAKE)) == ()


def test_the_next_engine_comes_when_the_last_is_done() -> None:
    found = upcoming(Planned.of_slots(1), view({"b": 3}, a=AWAKE))
    assert found[:2] == (Move("a", Tier.STOPPED), Move("b", Tier.AWAKE))


def test_what_is_on_its_way_is_not_planned_again() -> None:
    coming = EngineView(Tier.STOPPED, moving=Tier.AWAKE)
    assert upcoming(Planned.of_slots(1), view({"a": 3}, a=coming)) == ()


def test_every_engine_has_its_turn_once() -> None:
    loads = [
        move.engine
        for move in upcoming(Planned.of_slots(1), view({"a": 2, "b": 2, "c": 2}))
        if move.tier is Tier.AWAKE
    ]
    assert sorted(loads) == ["a", "b", "c"]


def test_a_long_plan_is_cut() -> None:
    many = {f"e{i}": 1 for i in range(50)}
    assert len(upcoming(Planned.of_slots(1), view(many))) <= MOST_MOVES
    assert len(upcoming(StayThenDeepest(), view(many))) <= MOST_MOVES
