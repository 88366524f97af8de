"""What a snapshot learns of its own answers is what judges the next question."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aggregator.base import Case
from coterie.types import Ballot, Expert, ExpertKind, SkillWeight
from orchestrator.replay import teaching
from orchestrator.replay.teaching import Teacher
from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.voting import vote_for
from skills.estimate import estimate_profiles
from skills.knowledge import Knowledge
from skills.memory import Memory
from skills.questions import StoredQuestion

NAMES = ("ann", "bob", "cy")
TOPICS = ("law", "sql")


def taught(q: int = 120) -> tuple[Memory, list[StoredQuestion]]:
    """Ann knows law and bob sql; cy says A to everything."""
    rng = np.random.default_rng(3)
    topic = np.arange(q) % 2
    target = rng.choice(["A", "B", "C", "D"], q)
    answers = np.array([[_said(rng, e, topic[i], target[i]) for e in range(3)] for i in range(q)])
    vectors = rng.normal(0, 0.2, (q, 6)).astype(np.float32)
    vectors[np.arange(q), topic] += 2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    memory = Memory(
        experts=NAMES,
        items=tuple(f"t/{i}" for i in range(q)),
        categories=tuple(TOPICS[t] for t in topic),
        skills=tuple((SkillWeight(TOPICS[t], 1.0, 0.8),) for t in topic),
        vectors=vectors,
        options=np.full(q, 4, dtype=np.int16),
        correct=(answers == target[:, None]).astype(np.float32),
        answers=answers,
        readings=np.ones((q, 3), dtype=np.int8),
        tokens=np.full((q, 3), 50, dtype=np.float32),
    )
    questions = [
        StoredQuestion("t", str(i), f"question {i}", target=str(target[i]), options=4)
        for i in range(q)
    ]
    return memory, questions


def _said(rng: np.random.Generator, expert: int, topic: int, target: str) -> str:
    if expert == 2:
        return "A"
    able = rng.random() < (0.9 if expert == topic else 0.35)
    return target if able else str(rng.choice(["A", "B", "C", "D"]))


def teacher() -> Teacher:
    return Teacher(Policy(), dict)


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    memory, questions = taught()
    plain = Knowledge.of(estimate_profiles(memory), name="s", memory=memory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teaching, "LEAST", 100)
        return teacher().finish(plain, questions)


def pool(knowledge: Knowledge) -> Pool:
    return Pool([Expert(n, ExpertKind.OPENAI, n) for n in NAMES], knowledge)


def test_few_answers_teach_nothing() -> None:
    memory, questions = taught(20)
    plain = Knowledge.of(estimate_profiles(memory), memory=memory)
    assert teacher().finish(plain, questions) is plain


def test_a_snapshot_chooses_a_strategy_and_its_vote(knowledge: Knowledge) -> None:
    assert knowledge.choices["auto"] in teaching.STRATEGIES
    assert {knowledge.choices[f"vote/{s}"] for s in teaching.STRATEGIES} <= set(teaching.VOTES)
    route = load_router("auto").route(Query(), pool(knowledge), Policy())
    assert route.strategy == knowledge.choices["auto"]


def test_the_fitted_vote_knows_whom_to_believe(knowledge: Knowledge) -> None:
    voting = replace(knowledge, choices={"vote": "learned"}, _derived={})
    vote = vote_for(pool(voting), "symbolic")
    assert vote.name == "learned"
    ballots = (Ballot("ann", "B", tokens=50), Ballot("bob", "C", tokens=50), Ballot("cy", "A"))
    lawyers = Case(ballots, {"ann": 0.9, "bob": 0.4, "cy": 0.25}, options=4)
    found = vote.judge(lawyers)
    assert found.leader == "ann"
    assert 0.5 < found.agreement <= 1
    assert found.votes == {"B": ("ann",), "C": ("bob",), "A": ("cy",)}


def test_what_knows_only_how_options_are_worded_is_never_chosen(knowledge: Knowledge) -> None:
    assert "learned-options" not in {*teaching.VOTES, *knowledge.choices.values()}
    assert set(knowledge.fitted) == {"learned"}


def test_a_vote_that_was_never_fitted_is_weighted(knowledge: Knowledge) -> None:
    for name in ("learned", "learned-options", "plurality"):
        unfitted = replace(knowledge, choices={"vote": name}, fitted={}, _derived={})
        assert vote_for(pool(unfitted), "symbolic").name == "weighted"


def test_each_strategy_has_its_own_vote_and_others_the_snapshots(knowledge: Knowledge) -> None:
    choices = {"vote": "majority", "vote/symbolic": "learned"}
    voting = pool(replace(knowledge, choices=choices, _derived={}))
    assert vote_for(voting, "symbolic").name == "learned"
    assert vote_for(voting, "cascade").name == "majority"
    assert vote_for(voting, "symbolic") is vote_for(voting, "symbolic")
    assert vote_for(pool(replace(knowledge, choices={}, _derived={})), "cascade").name == "weighted"


def test_a_vote_that_cannot_be_read_is_weighted(knowledge: Knowledge) -> None:
    broken = replace(knowledge, choices={"vote": "learned"}, fitted={"learned": "{"}, _derived={})
    assert vote_for(pool(broken), "symbolic").name == "weighted"


def test_an_expert_by_name_is_judged_by_no_fitted_vote() -> None:
    assert vote_for(None, "direct").name == "weighted"


def test_a_choice_whose_options_were_never_kept_is_still_a_choice() -> None:
    memory, questions = taught(20)
    material = teacher().material(memory, questions)
    assert material.options.tolist() == [4] * 20
    assert material.query(3).options == 4


# --- experts that were graded on different questions ---------------------------------------------


def unasked(memory: Memory, expert: int, rows: slice) -> Memory:
    """The same memory, without what this expert would have said to ``rows``."""
    correct, answers = memory.correct.copy(), memory.answers.copy()
    correct[rows, expert], answers[rows, expert] = np.nan, ""
    return replace(memory, correct=correct, answers=answers)


def finished(memory: Memory, questions: list[StoredQuestion]) -> Knowledge:
    plain = Knowledge.of(estimate_profiles(memory), name="s", memory=memory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teaching, "LEAST", 100)
        return teacher().finish(plain, questions)


def test_experts_graded_on_disjoint_halves_are_not_compared(
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory, questions = taught()
    halves = unasked(unasked(memory.of_experts(NAMES[:2]), 0, slice(0, 60)), 1, slice(60, 120))
    found = finished(halves, questions)
    assert not found.choices
    assert set(found.fitted) == {"learned"}
    assert "no two experts were graded on the same 100 questions" in caplog.text


def test_a_new_expert_with_25_answers_changes_nothing_for_the_others(
    knowledge: Knowledge,
) -> None:
    """It says nothing of those that were graded on everything; what is compared stays the same."""
    memory, questions = taught()
    wider = memory.of_experts((*NAMES, "dee"))
    wider.correct[:25, 3], wider.answers[:25, 3] = 1.0, [q.target for q in questions[:25]]
    found = finished(wider, questions)
    assert found.choices == knowledge.choices
    assert "dee" in found.fitted["learned"]
