"""The replay as a whole: learn and choose on the profile split, then ask the test split once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from aggregator.votes import VOTES, load_vote
from coterie.errors import ConfigurationError
from orchestrator.replay.choose import Choice, Chooser
from orchestrator.replay.lesson import Lesson
from orchestrator.replay.material import Material
from orchestrator.replay.report import Report, Reporter
from orchestrator.replay.session import Run, run
from orchestrator.routing import OFFERED, ORACLE, STRATEGIES, Policy, load_router

AUTO = "auto"
"""Whichever strategy cross-validates best on the profile split."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed, and how.

    ``vote`` None: each strategy's best one; ``per_category``: so many questions of each category
    are profiled on, all of them where None.  ``policy.most`` beyond the number of experts is no
    limit.
    """

    strategies: tuple[str, ...] = (AUTO,)
    vote: str | None = None
    policy: Policy = field(default_factory=Policy)
    profile_split: str = "val"
    test_split: str = "test"
    per_category: int | None = None

    def __post_init__(self) -> None:
        for name in self.strategies:
            if name not in (*STRATEGIES, AUTO, ORACLE):
                known = ", ".join(sorted({*STRATEGIES, AUTO, ORACLE}))
                raise ConfigurationError(f"no strategy {name!r}: choose one of {known}")
        if self.vote is not None:
            load_vote(self.vote)
        if self.profile_split == self.test_split:
            raise ConfigurationError(
                f"the profile split and the test split are both {self.test_split!r}: what is "
                "learned from a question says nothing about answering it; name two splits"
            )


def evaluate(
    material: Material, plan: Plan, tell: Callable[[str], None] = lambda text: None
) -> Report:
    """Replays every strategy of the plan; ``tell`` hears what is being done."""
    policy = _within(plan.policy, material)
    profile, test = profile_rows(material, plan), material.recording.rows(plan.test_split)
    lesson = Lesson(material, profile, seed=policy.seed)
    reporter = Reporter(material, profile, test, seed=policy.seed)
    votes = (plan.vote,) if plan.vote else tuple(VOTES)
    costs = reporter.costs / reporter.best_single_profile_cost
    chooser = Chooser(lesson, policy, votes, costs, tell)
    results, notes = [], _notes(material)
    for name in plan.strategies:
        if name == ORACLE:
            results.append(reporter.result(name, None, oracle(material, lesson, test)))
            continue
        choice = _chosen(chooser, name, plan.vote)
        if name == AUTO:
            notes.append(f"auto is {choice.strategy}: {choice.accuracy:.3f} in cross-validation")
        tell(f"asking {choice.strategy} with the vote {choice.vote}")
        router, vote = load_router(choice.strategy), lesson.vote(choice.vote)
        found = run(router, vote, lesson.pool, material, test, policy)
        results.append(reporter.result(name, choice.vote, found))
    return reporter.report(results, notes)


def _notes(material: Material) -> list[str]:
    if material.recording.readable:
        return []
    return [
        "only the correctness of these answers is recorded, so that no vote can be taken: every "
        "strategy asks its first choice alone"
    ]


def _chosen(chooser: Chooser, name: str, vote: str | None) -> Choice:
    if name == AUTO:
        return chooser.strategy([s for s in OFFERED if s != AUTO])
    return chooser.vote(name) if vote is None else Choice(name, vote, 0.0)


def _within(policy: Policy, material: Material) -> Policy:
    """The policy with its numbers of experts cut to those there are.

    Answers that nobody read cannot be voted on: each strategy then asks its first choice alone.
    """
    most = min(policy.most, len(material.experts)) if material.recording.readable else 1
    return replace(policy, most=most, first=min(policy.first, most))


def profile_rows(material: Material, plan: Plan) -> NDArray[np.intp]:
    """The questions to learn from, in the recording's order.

    Without variants of test questions; the first so many of each category in a seeded order.
    """
    r = material.recording
    rows, test = r.rows(plan.profile_split), r.rows(plan.test_split)
    rows = rows[~np.isin(material.groups[rows], material.groups[test])]
    if plan.per_category is not None:
        rows = np.random.default_rng(plan.policy.seed).permutation(rows)
        taken: dict[str, int] = {}
        kept = []
        for row in rows.tolist():
            category = r.categories[row]
            taken[category] = taken.get(category, 0) + 1
            if taken[category] <= plan.per_category:
                kept.append(row)
        rows = np.array(sorted(kept), dtype=np.intp)
    if not len(rows):
        raise ConfigurationError(
            f"nothing is left to profile on: every question of {plan.profile_split!r} is a "
            f"variant of one of {plan.test_split!r}, or --per-category-limit is 0"
        )
    return rows


def oracle(material: Material, lesson: Lesson, rows: NDArray[np.intp]) -> Run:
    """Asks the cheapest expert that is right; where none is, the cheapest of all."""
    correct = material.recording.correct[rows] == 1
    picked = np.where(correct, lesson.pool.thrift, len(material.experts)).argmin(axis=1)
    picked = np.where(correct.any(axis=1), picked, int(lesson.pool.thrift.argmin()))
    asked = np.zeros(correct.shape, dtype=np.int16)
    asked[np.arange(len(rows)), picked] = 1
    return Run(rows, correct.any(axis=1), asked)
