"""Replays of a made-up recording."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregator.base import Case
from aggregator.training import Trainable, Training
from aggregator.vote import Weighted
from aggregator.votes import VOTES, fitted_vote, load_vote
from coterie.errors import ConfigurationError
from coterie.types import (
    Ballot,
    Candidate,
    Expert,
    ExpertKind,
    Reading,
    Route,
    Verdict,
    as_jsonable,
)
from orchestrator.replay.cost import call_costs
from orchestrator.replay.evaluate import ORACLE, Plan, evaluate, profile_rows
from orchestrator.replay.lesson import Lesson, divided
from orchestrator.replay.material import Material, study
from orchestrator.replay.report import Result
from orchestrator.replay.session import Run, run
from orchestrator.routing import OFFERED, Policy, Pool, Query, Router, load_router

ALL = Policy(most=1000)


EACH = tuple(name for name in OFFERED if name != "auto")
"""Every strategy that decides for itself."""


def replayed(material: Material, *strategies: str, **plan: Any) -> list[Result]:
    policy = plan.pop("policy", ALL)
    return list(evaluate(material, Plan(strategies, policy=policy, **plan)).results)


def ran(material: Material, strategy: str, vote: str = "weighted", policy: Policy = ALL) -> Run:
    plan = Plan((strategy,), vote, policy)
    lesson = Lesson(material, profile_rows(material, plan))
    test = material.recording.rows("test")
    return run(load_router(strategy), lesson.vote(vote), lesson.pool, material, test, plan.policy)


# --- nothing leaks ------------------------------------------------------------------------------


def invented(material: Material, cells: np.ndarray[Any, Any]) -> Material:
    """The same, with other answers in ``cells``, (q, e)."""
    r, rng = material.recording, np.random.default_rng(3)
    return replace(
        material,
        recording=replace(
            r,
            answers=np.where(cells, rng.permuted(r.answers), r.answers),
            correct=np.where(cells, rng.permuted(r.correct), r.correct),
            readings=np.where(cells, rng.permuted(r.readings), r.readings),
            tokens=np.where(cells, rng.permuted(r.tokens), r.tokens),
        ),
    )


@pytest.mark.parametrize(
    ("strategy", "vote"), [*((s, "learned") for s in EACH), *(("symbolic", v) for v in VOTES)]
)
@pytest.mark.parametrize("most", [2, 1000])
def test_answers_of_those_not_asked_change_nothing(
    material: Material, strategy: str, vote: str, most: int
) -> None:
    policy = Policy(first=min(2, most), most=most, confidence=0.6)
    before = ran(material, strategy, vote, policy)
    unasked = np.zeros(material.recording.correct.shape, dtype=bool)
    unasked[before.rows] = before.asked == 0
    after = ran(invented(material, unasked), strategy, vote, policy)
    np.testing.assert_array_equal(before.asked, after.asked)
    np.testing.assert_array_equal(before.right, after.right)


@pytest.mark.parametrize("strategy", EACH)
def test_labels_and_right_answers_of_the_test_split_are_not_seen(
    material: Material, strategy: str
) -> None:
    r = material.recording
    test = r.splits == "test"
    hidden = replace(
        r,
        categories=tuple("" if t else c for t, c in zip(test, r.categories, strict=True)),
        targets=tuple("Z" if t else a for t, a in zip(test, r.targets, strict=True)),
    )
    before, after = ran(material, strategy), ran(replace(material, recording=hidden), strategy)
    np.testing.assert_array_equal(before.asked, after.asked)
    np.testing.assert_array_equal(before.right, after.right)


def test_what_is_chosen_comes_from_the_profile_split(material: Material) -> None:
    r = material.recording
    cells = np.broadcast_to((r.splits == "test")[:, None], r.correct.shape)
    before, after = (
        evaluate(m, Plan(("auto", "symbolic", "best-single"), policy=ALL))
        for m in (material, invented(material, cells))
    )
    assert before.best_single.expert == after.best_single.expert
    assert before.notes == after.notes
    assert [x.vote for x in before.results] == [x.vote for x in after.results]


def test_in_cross_validation_nothing_is_learned_from_what_is_tried(material: Material) -> None:
    rows = material.recording.rows("val")
    seen: list[int] = []
    for lesson, held in divided(material, rows, seed=4):
        assert not set(material.groups[lesson.rows]) & set(material.groups[held])
        assert set(lesson.rows) | set(held) == set(rows)
        seen += held.tolist()
    assert sorted(seen) == rows.tolist()


def test_variants_of_test_questions_are_not_profiled_on(material: Material) -> None:
    r = material.recording
    test = r.rows("test")
    groups = (r.groups[test[0]], *r.groups[1:])
    variant = replace(material, recording=replace(r, groups=groups))
    assert 0 not in profile_rows(variant, Plan())
    assert 0 in profile_rows(material, Plan())


def test_the_order_of_experts_and_rows_changes_nothing(
    recorder: Any, material: Material, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "recorded" / "responses.parquet"
    table = pq.read_table(path)
    order = list(range(table.num_rows))
    random.Random(5).shuffle(order)
    pq.write_table(table.take(order), path)
    shuffled = recorder.material(path.parent, ["eve", "cy", "ann", "dee", "bob"])
    plan = Plan((*EACH, ORACLE), "learned", policy=Policy(first=2, most=4))
    assert as_jsonable(evaluate(material, plan)) == as_jsonable(evaluate(shuffled, plan))


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [*EACH, ORACLE])
@pytest.mark.parametrize("most", [1, 3, 1000])
def test_no_strategy_asks_more_than_allowed(material: Material, strategy: str, most: int) -> None:
    policy = Policy(first=3, most=most)
    [found] = replayed(material, strategy, vote="weighted", policy=policy)
    assert 1 <= found.mean_calls <= found.max_calls <= min(most, 5)


def test_asking_everyone_is_cut_in_the_strategys_own_order(material: Material) -> None:
    everyone = ran(material, "majority")
    assert (everyone.asked == 1).all()
    some = ran(material, "majority", policy=Policy(most=2))
    assert (some.asked.sum(axis=1) == 2).all()
    one = ran(material, "majority", policy=Policy(first=1, most=1))
    assert (some.asked >= one.asked).all()


class Stubborn(Router):
    """Asks everyone twice, and again, whatever it is told."""

    name = "stubborn"

    def route(self, query: Query, pool: Pool, policy: Policy) -> Route:
        candidates = tuple(Candidate(n, 0.5, 0.1) for n in pool.names)
        return Route(self.name, (), candidates, pool.names * 2, (), "")

    def recruit(
        self,
        query: Query,
        pool: Pool,
        policy: Policy,
        route: Route,
        ballots: Sequence[Ballot],
        verdict: Verdict,
        asked: Collection[str],
    ) -> tuple[str, ...]:
        return pool.names


@pytest.mark.parametrize("most", [3, 7, 12])
def test_a_strategy_that_ignores_the_limit_is_cut_short(material: Material, most: int) -> None:
    lesson = Lesson(material, material.recording.rows("val"))
    test = material.recording.rows("test")
    found = run(Stubborn(), Weighted(), lesson.pool, material, test, Policy(most=most))
    assert (found.asked.sum(axis=1) == most).all()


def test_the_limit_by_category_cuts_the_profile_split_alone(material: Material) -> None:
    report = evaluate(material, Plan(("best-single",), policy=ALL, per_category=5))
    assert report.profile_n == 10
    assert report.n == 40
    rows = profile_rows(material, Plan(per_category=5))
    other = profile_rows(material, Plan(per_category=5, policy=Policy(seed=1)))
    assert rows.tolist() == sorted(rows.tolist()) != other.tolist()


# --- what counts --------------------------------------------------------------------------------


def changed(material: Material, **arrays: Any) -> Material:
    return replace(material, recording=replace(material.recording, **arrays))


def test_an_answer_that_is_missing_is_a_call_and_wrong_when_alone(material: Material) -> None:
    r = material.recording
    [whole] = replayed(material, "best-single")
    test = r.rows("test")
    correct = r.correct.copy()
    correct[test] = np.nan
    [gone] = replayed(changed(material, correct=correct), "best-single")
    assert whole.accuracy > 0
    assert gone.accuracy == 0
    assert gone.mean_calls == 1
    assert gone.mean_cost is not None
    assert gone.unparsed_share is None


def test_a_missing_answer_of_anyone_asked_makes_the_question_wrong(material: Material) -> None:
    r = material.recording
    test, correct, answers = r.rows("test"), r.correct.copy(), r.answers.copy()
    correct[test], answers[test] = 1, "A"
    half = test[::2]
    correct[half, 3] = np.nan
    [found] = replayed(changed(material, correct=correct, answers=answers), "majority")
    assert found.accuracy == pytest.approx(1 - len(half) / len(test))
    assert found.mean_calls == 5


def test_a_voted_answer_is_right_if_it_was_graded_so(material: Material) -> None:
    r = material.recording
    test, correct, answers = r.rows("test"), r.correct.copy(), r.answers.copy()
    answers[test], correct[test] = "A", 0
    answers[test, 0], correct[test, 0] = "B", 1
    counted = {"vote": "majority"}
    [voted] = replayed(changed(material, correct=correct, answers=answers), "majority", **counted)
    assert voted.accuracy == 0
    correct[test, 3] = 1  # the same answer, graded right for one of those who gave it
    [voted] = replayed(changed(material, correct=correct, answers=answers), "majority", **counted)
    assert voted.accuracy == 1


def test_where_nothing_can_be_read_the_question_is_wrong(material: Material) -> None:
    r = material.recording
    test, correct, answers = r.rows("test"), r.correct.copy(), r.answers.copy()
    answers[test], correct[test] = "", 0
    [found] = replayed(changed(material, correct=correct, answers=answers), "majority")
    assert (found.accuracy, found.unparsed_share) == (0, 1)


def test_correctness_alone_serves_strategies_that_ask_one(recorder: Any) -> None:
    material = recorder.material(recorder.folder(read=False))
    report = evaluate(material, Plan(("best-single", "majority", "auto", ORACLE), policy=ALL))
    single, everyone, _, oracle = report.results
    assert single.accuracy > 0
    assert single.max_calls == everyone.max_calls == 1
    assert everyone.accuracy > 0
    assert {r.unparsed_share for r in report.results} == {None}
    assert oracle.accuracy == report.oracle > single.accuracy
    assert "first choice alone" in report.notes[0]


class Coward:
    """A vote that never has a leader."""

    name = "coward"

    def judge(self, case: Case) -> Verdict:
        return Verdict(None, 0.0, case.votes, "")


def test_without_a_leader_the_likeliest_readable_answer_stands(material: Material) -> None:
    lesson, test = Lesson(material, material.recording.rows("val")), material.recording.rows("test")
    leaderless = run(load_router("majority"), Coward(), lesson.pool, material, test, ALL)
    assert 0 < leaderless.right.mean() < 1


def test_the_oracle_is_right_whenever_anyone_is(material: Material) -> None:
    report = evaluate(material, Plan((ORACLE, "symbolic"), policy=ALL))
    assert report.results[0].accuracy == report.oracle
    assert report.results[0].vote is None
    assert report.results[0].max_calls == 1


# --- figures ------------------------------------------------------------------------------------


def test_cost_is_active_parameters_times_tokens(material: Material) -> None:
    r = material.recording
    costs = call_costs(material, r.rows("val"))
    given = ~np.isnan(r.correct)
    np.testing.assert_allclose(costs[given], (r.tokens * np.arange(1, 6))[given])
    assert np.isfinite(costs).all()
    [everyone] = replayed(material, "majority")
    assert everyone.mean_cost == pytest.approx(costs[r.rows("test")].sum(axis=1).mean())


def test_cost_is_in_dollars_where_there_are_prices(material: Material) -> None:
    experts = [
        Expert("Ann", ExpertKind.OPENAI, "m", prompt_price=1.0, completion_price=2.0),
        *(Expert(f"x-{n}", ExpertKind.OPENAI, f"org/{n}") for n in ("bob", "cy", "dee", "eve")),
    ]
    inference = _NoInference(material)
    priced = study(material.recording, inference, experts=experts)  # type: ignore[arg-type]
    assert [e.name for e in priced.experts] == list(material.recording.experts)
    costs = call_costs(priced, material.recording.rows("val"))
    r = material.recording
    given = ~np.isnan(r.correct[:, 0])
    np.testing.assert_allclose(costs[given, 0], (10 + 2 * r.tokens[given, 0]) / 1e6)
    assert (costs[:, 1:] == 0).all()
    with pytest.raises(ConfigurationError, match="'eve'"):
        study(r, inference, experts=experts[:-1])  # type: ignore[arg-type]


class _NoInference:
    def __init__(self, material: Material) -> None:
        self._material = material

    def infer_all(self, texts: Sequence[str]) -> list[Any]:
        from skills.infer import Inferred

        return [
            Inferred(*x) for x in zip(self._material.skills, self._material.vectors, strict=True)
        ]


def test_unknown_costs_are_null_and_cannot_be_an_objective(material: Material) -> None:
    r = material.recording
    unknown = changed(material, tokens=np.full_like(r.tokens, np.nan))
    [found] = replayed(unknown, "symbolic")
    assert found.mean_cost is None
    with pytest.raises(ConfigurationError, match="cost_weight"):
        replayed(unknown, "auto", policy=replace(ALL, cost_weight=0.1))


def test_auto_saves_where_saving_is_wanted(material: Material) -> None:
    [accurate] = replayed(material, "auto")
    [thrifty] = replayed(material, "auto", policy=replace(ALL, cost_weight=10.0))
    assert accurate.mean_cost is not None
    assert thrifty.mean_cost is not None
    assert thrifty.mean_cost < accurate.mean_cost


def test_the_record_has_the_documented_shape(material: Material) -> None:
    plan = Plan(("symbolic", ORACLE), policy=ALL)
    found = json.loads(json.dumps(as_jsonable(evaluate(material, plan)), allow_nan=False))
    assert set(found) == {
        *("benchmark", "n", "experts", "profile_n", "results", "best_single", "oracle", "notes")
    }
    for result in found["results"]:
        assert set(result) == {
            *("strategy", "vote", "accuracy", "ci95", "mean_calls", "max_calls", "mean_cost"),
            *("vs_best_single", "unparsed_share"),
        }
        low, high = result["ci95"]
        assert low <= result["accuracy"] <= high
        assert set(result["vs_best_single"]) == {"delta", "ci95"}


def test_the_same_seed_gives_the_same_figures(material: Material) -> None:
    plan = Plan(("symbolic", "random"), policy=Policy(seed=3))
    assert evaluate(material, plan) == evaluate(material, plan)


# --- what is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"strategies": ("symbolik",)}, "choose one of adaptive, all, auto"),
        ({"vote": "loudest"}, "choose one of learned, learned-options"),
        ({"profile_split": "test"}, "name two splits"),
    ],
)
def test_what_makes_no_sense_is_refused(plan: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Plan(**plan)


class Pupil:
    """A vote that must learn, and remembers what from."""

    name = "pupil"

    def fit(self, training: Training) -> Weighted:
        seen.append(training)
        return Weighted()


seen: list[Training] = []


def test_a_vote_that_learns_is_fitted_on_the_profile_split_alone(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VOTES, "pupil", Pupil)
    seen.clear()
    replayed(material, "symbolic", "majority", vote="pupil")
    [training] = seen
    assert len(training) == 60
    assert training.choices[0] == ("one", "two", "three", "four")
    assert training.chances.shape == training.answers.shape == (60, 5)
    assert ((training.chances >= 0) & (training.chances <= 1)).all()
    assert len(np.unique(training.groups)) == 30
    replayed(material, "symbolic", "majority")
    assert len(seen) == 1 + 5  # once in each fold, for all strategies


def test_votes_are_found_by_name() -> None:
    assert {load_vote(name).name for name in VOTES} == set(VOTES)
    for name in VOTES:
        if not isinstance(load_vote(name), Trainable):
            assert fitted_vote(name, lambda: pytest.fail("needs no training")).name == name


def test_readings_reach_the_vote(material: Material) -> None:
    heard: list[Ballot] = []

    class Listener(Weighted):
        def judge(self, case: Case) -> Verdict:
            heard.extend(case.ballots)
            assert case.choices == ("one", "two", "three", "four")
            return super().judge(case)

    lesson, test = Lesson(material, material.recording.rows("val")), material.recording.rows("test")
    run(load_router("majority"), Listener(), lesson.pool, material, test, ALL)
    assert {b.reading for b in heard} == set(Reading)
    assert all((b.answer is None) == (b.reading is Reading.NOTHING) for b in heard)
