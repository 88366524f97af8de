"""Several are asked only where a vote was measured to be better than the best one alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from coterie.types import Route
from orchestrator.routing import Policy, Pool, load_router
from orchestrator.routing.few import few_pay
from skills.knowledge import Knowledge
from skills.memory import Memory
from tests.orchestrator.routing.routing_worlds import SQL, expert, memory, profiles_of

POLICY = Policy(first=3)


def pool(remembered: Memory) -> Pool:
    known = Knowledge.of(profiles_of(remembered), memory=remembered)
    return Pool([expert(name) for name in remembered.experts], known)


def alike(n: int) -> Memory:
    """Five experts, equally good, whose errors have nothing to do with each other."""
    return memory(dict.fromkeys("abcde", (0.6, 0.6, 0.6)), n)


def echoed(n: int) -> Memory:
    """One good expert, and four that err together: when they agree, they are often wrong."""
    remembered = memory(dict(zip("abcde", [(0.7,) * 3, *[(0.6,) * 3] * 4], strict=True)), n)
    correct, answers = remembered.correct.copy(), remembered.answers.copy()
    correct[:, 2:], answers[:, 2:] = correct[:, 1:2], answers[:, 1:2]
    return replace(remembered, correct=correct, answers=answers)


def route(remembered: Memory, policy: Policy = POLICY) -> Route:
    return load_router("symbolic").route(SQL, pool(remembered), policy)


def test_independent_equals_vote() -> None:
    assert few_pay(pool(alike(300)), POLICY, 3)
    assert len(route(alike(300)).chosen) == 3


def test_echoes_do_not_outvote_the_best() -> None:
    found = route(echoed(300))
    assert not few_pay(pool(echoed(300)), POLICY, 3)
    assert found.chosen == ("a",)
    assert "votes were no better" in found.reason
    assert found.reserve == ()


def test_too_few_questions_speak_neither_way() -> None:
    assert few_pay(pool(echoed(40)), POLICY, 3)


def test_with_hundreds_of_questions_it_is_left_to_the_vote() -> None:
    assert few_pay(pool(echoed(400)), POLICY, 3)


def test_without_a_memory_several_vote() -> None:
    remembered = alike(90)
    known = Knowledge.of(profiles_of(remembered))
    assert few_pay(Pool([expert(n) for n in remembered.experts], known), POLICY, 3)


def test_questions_that_nobody_or_one_was_asked_are_left_out() -> None:
    remembered = alike(390)
    correct = remembered.correct.copy()
    correct[::4] = np.nan
    correct[1::4, 1:] = np.nan
    assert few_pay(pool(replace(remembered, correct=correct)), POLICY, 3)
