"""The learned vote."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.alternatives import Alternatives
from aggregator.base import Case
from aggregator.learned import Learned, LearnedVote
from aggregator.manner import Lengths
from aggregator.training import Training
from aggregator.vote import PROSE, Weighted
from coterie.types import Ballot, Reading, Verdict
from tests.aggregator.panels import Panel, cases

LAW = np.array([0.5, -0.5])
SQL = -LAW
ALIKE = dict.fromkeys(("lawyer", "meek", "weak"), 0.4)


def panel(n: int = 400, seed: int = 0) -> Panel:
    """A lawyer, and two who are often wrong; nothing of it is told beforehand."""
    made = Panel(n, seed)
    for name, rates in (("lawyer", (0.95, 0.25)), ("meek", (0.3, 0.5)), ("weak", (0.3, 0.5))):
        made.expert(name, *rates, told=(0.4,))
    return made


@pytest.fixture(scope="module")
def training() -> Training:
    return panel().training()


@pytest.fixture(scope="module")
def vote(training: Training) -> LearnedVote:
    return Learned().fit(training)


def judged(
    vote: LearnedVote,
    answers: Mapping[str, str | None],
    context: np.ndarray | None = None,
    options: int = 5,
    chances: Mapping[str, float] = ALIKE,
) -> Verdict:
    ballots = tuple(Ballot(expert, answer) for expert, answer in answers.items())
    return vote.judge(Case(ballots, chances, options, context=context))


# --- who is believed ----------------------------------------------------------------------------


def test_an_expert_on_its_subject_outweighs_two_weak_ones_who_agree(vote: LearnedVote) -> None:
    answers = {"lawyer": "A", "meek": "B", "weak": "B"}
    assert judged(vote, answers, LAW).leader == "lawyer"
    assert judged(vote, answers, SQL).leader in ("meek", "weak")


def test_twins_share_the_credit() -> None:
    """Two who always agree do not count double against an independent equal one."""
    made = Panel(800)
    made.expert("twin-1", 0.6)
    made.twin("twin-2", "twin-1")
    for name in ("other-1", "other-2"):
        made.expert(name, 0.6)
    vote = Learned().fit(made.training())
    chances = dict.fromkeys(("twin-1", "twin-2", "other-1", "other-2"), 0.6)

    twins = judged(vote, {"twin-1": "A", "twin-2": "A", "other-1": "B"}, chances=chances)
    others = judged(vote, {"other-1": "A", "other-2": "A", "twin-1": "B"}, chances=chances)
    assert others.leader in ("other-1", "other-2")
    assert others.agreement > twins.agreement + 0.15
    weighted = Weighted().judge(
        Case((Ballot("twin-1", "A"), Ballot("twin-2", "A"), Ballot("other-1", "B")), chances, 5)
    )
    assert twins.agreement < weighted.agreement - 0.15
    pair = judged(
        vote, {"twin-1": "A", "twin-2": "A", "other-1": "B", "other-2": "B"}, chances=chances
    )
    assert pair.leader in ("other-1", "other-2")


def measured(n: int, seed: int) -> Training:
    """Experts whose chances are known, two of them twins, which nobody tells."""
    made = Panel(n, seed)
    for name, rates in (("lawyer", (0.9, 0.4)), ("coder", (0.3, 0.8)), ("weak", (0.35, 0.3))):
        made.expert(name, *rates)
    made.twin("echo", "weak")
    return made.training()


@pytest.mark.parametrize("asked", [1, 2, 4])
def test_beliefs_are_the_shares_of_held_out_questions_that_are_right(asked: int) -> None:
    vote, fresh = fitted_on_measured(), measured(2000, seed=7)
    rng = np.random.default_rng(0)
    sample = cases(fresh, lambda q: sorted(rng.permutation(4)[:asked].tolist()))
    found = [vote.judge(case) for case in sample]
    belief = np.array([v.agreement for v in found])
    answers = [next(a for a, who in v.votes.items() if v.leader in who) for v in found]
    right = np.array(answers) == np.array(fresh.targets)
    for part in np.array_split(np.argsort(belief), 4):
        assert belief[part].mean() == pytest.approx(right[part].mean(), abs=0.07)


@lru_cache
def fitted_on_measured() -> LearnedVote:
    return Learned().fit(measured(1000, seed=0))


def test_a_longer_answer_than_usual_counts_as_it_did(training: Training) -> None:
    """Where an expert rambles it is wrong: the vote has seen that, and no other sign of it."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, training.correct.shape)
    tokens = (np.where(training.correct == 1, 50, 400) * np.exp(noise)).astype(np.float32)
    vote = Learned().fit(replace(training, tokens=tokens))

    def belief(tokens: int | None) -> float:
        return vote.judge(Case((Ballot("meek", "A", tokens=tokens),), ALIKE, 5)).agreement

    assert belief(50) > 0.8 > 0.2 > belief(400)
    assert belief(400) < belief(None)


def test_an_answer_in_a_form_of_its_own_counts_as_it_did(training: Training) -> None:
    readings = np.where(training.correct == 1, Reading.STATED, Reading.NAMED).astype(np.int8)
    vote = Learned().fit(replace(training, readings=readings))
    ballots = (Ballot("meek", "A", Reading.NAMED), Ballot("weak", "B", Reading.STATED))
    assert vote.judge(Case(ballots, ALIKE, 5)).leader == "weak"


def test_an_unknown_expert_counts_as_the_average_one(vote: LearnedVote) -> None:
    rates = {**ALIKE, "new": 0.4}
    new = judged(vote, {"new": "A"}, chances=rates).agreement
    known = [judged(vote, {name: "A"}, chances=rates).agreement for name in ALIKE]
    odds = [math.log(p / (1 - p)) for p in known]
    assert math.log(new / (1 - new)) == pytest.approx(np.mean(odds), abs=1e-6)


# --- nothing else matters -----------------------------------------------------------------------


def test_kept_as_text_it_judges_the_same(vote: LearnedVote, training: Training) -> None:
    again = LearnedVote.from_json(vote.to_json())
    assert again.name == vote.name
    assert [again.judge(c) for c in cases(training)] == [vote.judge(c) for c in cases(training)]


@settings(deadline=None, max_examples=40)
@given(
    st.permutations(["lawyer", "meek", "weak", "new"]),
    st.lists(st.sampled_from(["A", "B", "C", None]), min_size=4, max_size=4),
)
def test_the_order_of_ballots_changes_nothing(
    vote: LearnedVote, order: list[str], answers: list[str | None]
) -> None:
    given_ = dict(zip(["lawyer", "meek", "weak", "new"], answers, strict=True))
    chances = {"lawyer": 0.45, "meek": 0.4, "weak": 0.35, "new": 0.3}
    before = judged(vote, given_, LAW, chances=chances)
    after = judged(vote, {name: given_[name] for name in order}, LAW, chances=chances)
    assert after.leader == before.leader
    assert after.agreement == pytest.approx(before.agreement)


def test_the_order_of_experts_in_training_changes_nothing(training: Training) -> None:
    order = [2, 0, 1]
    turned = replace(
        training,
        experts=tuple(training.experts[e] for e in order),
        **{
            name: getattr(training, name)[:, order]
            for name in ("answers", "correct", "readings", "tokens", "chances")
        },
    )
    assert Learned().fit(turned).to_json() == Learned().fit(training).to_json()


def test_fitting_twice_gives_the_same(vote: LearnedVote, training: Training) -> None:
    assert Learned().fit(training).to_json() == vote.to_json()


# --- what is missing ----------------------------------------------------------------------------


@pytest.mark.parametrize("context", [None, np.zeros(0), np.zeros(7)])
def test_what_a_question_is_about_may_be_unknown(
    vote: LearnedVote, context: np.ndarray | None
) -> None:
    found = judged(vote, {"lawyer": "A", "meek": "B"}, context)
    assert found == judged(vote, {"lawyer": "A", "meek": "B"}, np.zeros(2))
    assert 0 < found.agreement < 1


@pytest.mark.parametrize("answers", [{"lawyer": None, "meek": None}, {}])
@pytest.mark.parametrize("options", [0, 5])
def test_nothing_readable_leaves_no_leader(
    vote: LearnedVote, answers: Mapping[str, str | None], options: int
) -> None:
    assert judged(vote, answers, options=options).leader is None


def test_one_alone_is_believed_as_far_as_was_learned(vote: LearnedVote) -> None:
    sure, unsure = (judged(vote, {"lawyer": "A"}, about).agreement for about in (LAW, SQL))
    assert sure > 0.75 > 0.45 > unsure
    silent = judged(vote, {"lawyer": None}, LAW)
    assert (silent.leader, silent.agreement) == ("lawyer", 0.4)


@pytest.mark.parametrize("name", ["learned", "learned-options"])
def test_without_anything_to_learn_from_votes_count_by_their_log_odds(
    name: str, training: Training
) -> None:
    none = np.arange(0)
    empty = Panel(0)
    for expert in training.experts:
        empty.expert(expert, 0.5)
    vote = Learned(name, options=name == "learned-options").fit(empty.training(groups=none))
    chances = {"lawyer": 0.7, "meek": 0.6, "weak": 0.6}
    ballots = tuple(Ballot(e, a) for e, a in zip(chances, "ABB", strict=True))
    found = vote.judge(Case(ballots, chances, 5, text="?", choices=("x", "y", "z", "v", "w")))
    odds = {"A": 7 / 3, "B": (6 / 4) ** 2}
    assert found.leader == "lawyer"
    assert found.agreement == pytest.approx(odds["A"] / (odds["A"] + odds["B"] + 1))


def test_certain_chances_are_survived() -> None:
    made = Panel(60)
    for name, rate in (("sure", 1.0), ("never", 0.0), ("half", 0.5)):
        made.expert(name, rate)
    vote = Learned().fit(made.training())
    found = judged(vote, {"sure": "A", "never": "B"}, chances={"sure": 1.0, "never": 0.0})
    assert found.leader == "sure"
    assert math.isfinite(found.agreement)


def test_lengths_of_a_few_or_of_nobody_are_usual() -> None:
    few = Lengths.of(np.array([np.nan, 30.0], dtype=np.float32))
    assert (few.mean, few.sd) == (0.0, 1.0)
    usual = Lengths.of(np.full(9, 50.0))
    assert usual.unusual(50) == pytest.approx(0)
    assert usual.unusual(None) == usual.unusual(math.nan) == 0
    assert usual.unusual(10**9) == -usual.unusual(0) == 3


# --- open questions -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talkers() -> Training:
    """Open questions: the poet talks and is mostly right, the clerk is brief and mostly wrong."""
    made = Panel(400)
    made.expert("poet", 0.85)
    made.expert("clerk", 0.3)
    made.expert("aide", 0.3)
    plain = made.training(options=np.zeros(400, dtype=np.int16))
    talks = np.zeros(plain.answers.shape, dtype=bool)
    talks[:, 0] = np.arange(400) % 4 > 0
    readings = np.where(talks, Reading.NOTHING, Reading.STATED).astype(np.int8)
    return replace(plain, answers=np.where(talks, "", plain.answers), readings=readings)


def test_prose_is_an_answer_of_its_own_to_an_open_question(talkers: Training) -> None:
    vote = Learned().fit(talkers)
    chances = {"poet": 0.85, "clerk": 0.3, "aide": 0.3}
    found = judged(vote, {"poet": None, "clerk": "4"}, options=0, chances=chances)
    assert found.leader == "poet"
    assert "prose" in found.reason
    assert found.votes == {"4": ("clerk",)}


def test_prose_abstains_where_there_are_options(talkers: Training) -> None:
    vote = Learned().fit(talkers)
    chances = {"poet": 0.85, "clerk": 0.3, "aide": 0.3}
    assert judged(vote, {"poet": None, "clerk": "A"}, chances=chances).leader == "clerk"


def test_an_open_question_that_few_can_be_compared_on_has_no_leader(talkers: Training) -> None:
    vote = Learned().fit(talkers)
    answers = {"poet": None, "clerk": "4", "aide": None}
    chances = dict.fromkeys(answers, 0.5)
    found = judged(vote, answers, options=0, chances=chances)
    weighted = Weighted().judge(
        Case(tuple(Ballot(e, a) for e, a in answers.items()), chances, options=0)
    )
    assert found == weighted
    assert found.leader is None


def test_prose_that_was_right_is_the_right_alternative(talkers: Training) -> None:
    alternatives = Alternatives(talkers, [Lengths(0, 1)] * 3)
    everyone = np.ones(3, dtype=bool)
    for q in range(40):
        found = alternatives._given(q, everyone)
        assert (PROSE + "poet" in found) == (talkers.answers[q, 0] == "")
        right = list(found)[at] if (at := alternatives._right(q, found)) < len(found) else None
        if talkers.targets[q] in found:
            assert right == talkers.targets[q]
        elif talkers.correct[q, 0] == 1:
            assert right == PROSE + "poet"
        else:
            assert right is None


# --- the options' wording -----------------------------------------------------------------------

SHORT, LONG = "too short", "an option that is worded with a good deal more care"


@pytest.fixture(scope="module")
def worded() -> Training:
    """Right options are long ones; nobody who is asked knows much."""
    made = Panel(300)
    for name in ("ann", "bob", "cy"):
        made.expert(name, 0.3)
    choices = tuple(
        tuple(f"{LONG if letter == target else SHORT} {i}" for i, letter in enumerate("ABCDE"))
        for target in made.targets.tolist()
    )
    return made.training(choices=choices)


@pytest.fixture(scope="module")
def wordy(worded: Training) -> LearnedVote:
    return Learned("learned-options", options=True).fit(worded)


def choosing(*answers: str, long: str) -> Callable[[LearnedVote], Verdict]:
    choices = tuple(f"{LONG if x == long else SHORT} {i}" for i, x in enumerate("ABCDE"))
    names = ("ann", "bob", "cy")
    ballots = tuple(Ballot(e, a) for e, a in zip(names, answers, strict=False))
    return lambda vote: vote.judge(Case(ballots, dict.fromkeys(names, 0.3), 5, choices=choices))


def test_of_answers_that_were_given_the_better_worded_leads(
    wordy: LearnedVote, worded: Training
) -> None:
    assert choosing("B", "B", "D", long="D")(wordy).leader == "cy"
    assert choosing("B", "B", "D", long="B")(wordy).leader == "ann"
    assert choosing("B", "B", "D", long="D")(Learned().fit(worded)).leader == "ann"


def test_an_option_that_nobody_gave_never_leads(wordy: LearnedVote) -> None:
    found = choosing("B", "B", "D", long="E")(wordy)
    assert found.leader in ("ann", "bob", "cy")
    assert set(found.votes) == {"B", "D"}
    assert found.agreement < choosing("B", "B", "D", long="B")(wordy).agreement


@pytest.mark.parametrize("choices", [(), ("alone",), ("x", "y")])
def test_an_answer_that_names_no_known_option_is_survived(
    wordy: LearnedVote, choices: tuple[str, ...]
) -> None:
    ballots = (Ballot("ann", "Z"), Ballot("bob", "42"), Ballot("cy", "A"))
    found = wordy.judge(Case(ballots, {}, 5, choices=choices))
    assert found.leader is not None
    assert 0 < found.agreement < 1


def test_with_wording_too_it_is_kept_as_text(wordy: LearnedVote, worded: Training) -> None:
    again = LearnedVote.from_json(wordy.to_json())
    some = cases(worded)[:40]
    assert [again.judge(c) for c in some] == [wordy.judge(c) for c in some]


def test_where_no_question_has_options_the_wording_says_nothing(training: Training) -> None:
    plain, wordy = Learned().fit(training), Learned("learned-options", options=True).fit(training)
    some = cases(training)[:40]
    for before, after in zip(map(plain.judge, some), map(wordy.judge, some), strict=True):
        assert after == before
