"""When an aggregator is worth asking, as trials teach it."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from coterie.types import GradedAnswer, Item, Question, SkillWeight, Usage
from orchestrator.replay import aggregating
from orchestrator.replay.aggregating import LEAST, Compared, learned, threshold
from orchestrator.replay.teaching import Teacher
from orchestrator.routing import Policy
from orchestrator.voting import aggregate_under
from skills.aggregation import PREFIX, trials_of
from skills.knowledge import Knowledge
from skills.questions import StoredQuestion

TRIALS = st.lists(
    st.builds(Compared, st.floats(0.1, 0.99), st.booleans(), st.booleans()), max_size=400
)


def compared(agreement: float, vote: bool, written: bool, n: int) -> list[Compared]:
    return [Compared(agreement + i * 1e-6, vote, written) for i in range(n)]


def test_few_trials_teach_nothing() -> None:
    assert threshold(compared(0.3, False, True, LEAST - 1)) == 0.0


def test_where_writing_is_better_only_under_doubt_the_threshold_lies_between() -> None:
    doubtful = compared(0.25, True, False, 20) + compared(0.35, False, True, 60)
    sure = compared(0.8, True, False, 60) + compared(0.85, True, True, 40)
    assert 0.35 < threshold(doubtful + sure) < 0.8


def test_a_writer_that_is_always_better_is_always_asked() -> None:
    assert threshold(compared(0.4, False, True, 80) + compared(0.9, True, True, 80)) > 0.4


def test_a_writer_that_is_no_better_is_never_asked() -> None:
    rng = random.Random(0)
    same = [Compared(rng.random(), right := rng.random() < 0.5, right) for _ in range(300)]
    assert threshold(same) == 0.0
    worse = [Compared(rng.random(), rng.random() < 0.7, rng.random() < 0.4) for _ in range(300)]
    assert threshold(worse) == 0.0


@given(TRIALS)
def test_under_the_threshold_writing_was_better(trials: list[Compared]) -> None:
    under = threshold(trials)
    assert 0.0 <= under <= 1.0
    if under:
        left = [t for t in trials if t.agreement < under]
        assert sum(t.written for t in left) > sum(t.vote for t in left)


# --- from what is stored -------------------------------------------------------------------------


def stored(n: int = 200) -> tuple[list[StoredQuestion], list[GradedAnswer]]:
    """Questions that three experts are right on now and then; else each says its own thing."""
    skill, rng = (SkillWeight("law", 1.0, 0.9),), random.Random(2)
    questions, answers = [], []
    for i in range(n):
        item = f"q{i:03d}"
        questions.append(StoredQuestion("t", item, f"question {i}", target="X", skills=skill))
        for name, rate in {"ann": 0.6, "bob": 0.4, "cy": 0.3}.items():
            right = rng.random() < rate
            said = "X" if right else f"not-{name}"
            answers.append(answer(name, "t", item, said, right, skill))
    return questions, answers


def answer(
    expert: str, task: str, item: str, said: str, right: bool, skills: tuple[SkillWeight, ...]
) -> GradedAnswer:
    return GradedAnswer(expert, task, item, skills, said, said, right, Usage(5, 5), 0.1)


def aggregated(
    questions: list[StoredQuestion], answers: list[GradedAnswer], writer: str, rate: float
) -> list[GradedAnswer]:
    rng = random.Random(1)
    items = [Item(q.item, Question.of(q.text), q.target, "") for q in questions]
    return [
        answer(writer, f"{PREFIX}t", t.id, "X", rng.random() < rate, t.skills)
        for t in trials_of(answers, items)
    ]


def test_a_good_writers_trials_teach_a_snapshot_when_to_ask_it() -> None:
    questions, answers = stored()
    good = aggregated(questions, answers, "good", 0.9)
    bad = aggregated(questions, answers, "bad", 0.1)
    assert learned(questions, answers) == 0.0
    assert learned(questions, [*answers, *bad]) == 0.0
    under = learned(questions, [*answers, *good, *bad])
    assert under > 0.3
    known = Teacher(Policy(), dict).finish(Knowledge(), questions, [*answers, *good])
    assert abs(aggregate_under(known, "symbolic") - under) < 1e-4


def test_trials_of_answers_that_have_changed_teach_nothing() -> None:
    questions, answers = stored()
    good = aggregated(questions, answers, "good", 0.9)
    changed = [replace(a, output=f"{a.output}, now") for a in answers]
    assert learned(questions, [*changed, *good]) == 0.0
    assert aggregating.learned([], []) == 0.0
