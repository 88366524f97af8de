"""Auto: whichever strategy did best."""

from dataclasses import dataclass, field

import pytest

from coterie.types import Verdict
from orchestrator.routing import OFFERED, Policy, Pool, load_router
from skills.knowledge import Knowledge
from tests.orchestrator.routing.routing_worlds import SQL, question, world


@dataclass(frozen=True, slots=True, eq=False)
class Chosen(Knowledge):
    """Knowledge that names the strategies that did best."""

    choices: dict[str, str] = field(default_factory=dict)


def choosing(name: str | None) -> Pool:
    experts, knowledge = world(1, 5)
    choices = {} if name is None else {"auto": name}
    return Pool(
        experts, Chosen(knowledge.name, knowledge.profiles, knowledge.memory, choices=choices)
    )


@pytest.mark.parametrize("name", [n for n in OFFERED if n != "auto"])
def test_the_strategy_that_did_best_decides(name: str) -> None:
    pool = choosing(name)
    found = load_router("auto").route(question(1), pool, Policy())
    wanted = load_router(name).route(question(1), pool, Policy())
    assert found.strategy == name
    assert (found.chosen, found.reserve) == (wanted.chosen, wanted.reserve)
    assert found.reason.startswith(f"auto: {name} did best")


@pytest.mark.parametrize("name", [None, "oracle", "auto", "gone"])
def test_without_a_choice_that_can_be_made_it_is_symbolic(name: str | None) -> None:
    found = load_router("auto").route(SQL, choosing(name), Policy())
    assert found.strategy == "symbolic"


def test_it_recruits_as_the_strategy_it_delegates_to() -> None:
    pool, policy, query = choosing("cascade"), Policy(confidence=0.99), question(2)
    auto, cascade = load_router("auto"), load_router("cascade")
    route = auto.route(query, pool, policy)
    verdict = Verdict(route.chosen[0], 0.1, {}, "")
    assert auto.recruit(query, pool, policy, route, (), verdict, route.chosen) == cascade.recruit(
        query, pool, policy, route, (), verdict, route.chosen
    )
