"""The bench of aggregators: trials made of stored answers, and how everybody stands on them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aggregator.base import Case, ballots_of, options_in
from aggregator.vote import Majority
from coterie.errors import RequestError
from coterie.ports import Task
from coterie.types import GradedAnswer, Question
from evals.aggregation import POSSIBLE, RELIABLE, VOTE, Showing, Standing, rules, standings
from orchestrator.jobs.terms import read_as
from skills.aggregation import Trial, trials_name, trials_of
from skills.aggregation_profiler import completion_of
from skills.answer_store import AnswerStore
from skills.evidence import rates_of_others
from skills.questions import StoredQuestion, graded_questions, memory_of


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """Which trials: at most ``limit``, of stored answers to questions of a task's ``split`` that
    need one of ``skills`` (any, where none is named), drawn by ``seed``."""

    task: Task
    split: str = "val"
    limit: int | None = None
    seed: int = 0
    skills: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bench:
    """How candidates and rules stand on ``trials`` trials."""

    trials: int
    candidates: tuple[Standing, ...]
    rules: tuple[Standing, ...]


async def planned_trials(store: AnswerStore, plan: TrialPlan) -> tuple[Trial, ...]:
    """The trials, the same ones while the stored answers are.

    Raises :class:`RequestError` where there are none.
    """
    answers = await store.answers(task=plan.task.name)
    questions = await store.questions(plan.task.name)
    found = await asyncio.to_thread(_trials, plan, answers, questions)
    if not found:
        about = f" about {', '.join(plan.skills)}" if plan.skills else ""
        raise RequestError(
            f"no stored answers to {plan.task.name!r} {plan.split}{about} make a trial: answers of "
            "two experts to the same question are needed; profile two experts or more on it first "
            "(`coterie skills profile`)"
        )
    return found


async def standing_of(store: AnswerStore, plan: TrialPlan) -> Bench:
    """How everybody stands who was asked some of these trials; nobody is asked."""
    trials = await planned_trials(store, plan)
    own = await store.answers(task=plan.task.name)
    questions = await store.questions(plan.task.name)
    aggregated = await store.answers(task=trials_name(plan.task.name))
    return await asyncio.to_thread(bench_of, trials, own, questions, aggregated)


def _trials(
    plan: TrialPlan, answers: Sequence[GradedAnswer], questions: Sequence[StoredQuestion]
) -> tuple[Trial, ...]:
    items = plan.task.items(plan.split)
    if plan.skills:
        needed = {q.item: {s.skill for s in q.skills} for q in questions}
        _check_skills(plan.skills, set().union(*needed.values()))
        items = [i for i in items if needed.get(i.id, set()).intersection(plan.skills)]
    return trials_of(answers, items, seed=plan.seed, limit=plan.limit)


def _check_skills(wanted: Sequence[str], known: set[str]) -> None:
    for skill in wanted:
        if skill not in known:
            raise RequestError(
                f"no stored question of the task needs a skill {skill!r}; they need "
                f"{', '.join(sorted(known)) or 'none'}",
                param="skills",
            )


def bench_of(
    trials: Sequence[Trial],
    own: Sequence[GradedAnswer],
    questions: Sequence[StoredQuestion],
    aggregated: Sequence[GradedAnswer],
) -> Bench:
    """How they stand on ``trials``, which are made of answers ``own`` to ``questions``; what was
    made of the trials is ``aggregated``.  Pure."""
    chances = _chances(own, questions)
    showings = [_showing(trial, chances[trial.item.id]) for trial in trials]
    candidates = standings(showings, _correct(aggregated), _correct(own))
    return Bench(len(trials), candidates, rules(showings))


def _correct(answers: Sequence[GradedAnswer]) -> Mapping[str, Mapping[str, bool]]:
    """Whether each answer is right, by expert and item."""
    found: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for answer in answers:
        found[answer.expert][answer.item] = answer.correct
    return found


def _chances(
    own: Sequence[GradedAnswer], questions: Sequence[StoredQuestion]
) -> Mapping[str, Mapping[str, float]]:
    """By item, what was known of every expert from its answers to the other questions."""
    asked = graded_questions(questions, own)
    memory = memory_of(asked, own)
    rates = rates_of_others(memory)
    return {
        q.item: dict(zip(memory.experts, row.tolist(), strict=True))
        for q, row in zip(asked, rates, strict=True)
    }


def _showing(trial: Trial, chances: Mapping[str, float]) -> Showing:
    correct = {a.expert: a.correct for a in trial.outputs}
    best = max(sorted(correct), key=lambda e: chances[e])
    return Showing(
        trial.id,
        trial.item.id,
        trial.right,
        len(trial.outputs),
        {
            VOTE: correct[_voted(trial, chances) or best],  # where nothing can be compared
            RELIABLE: correct[best],
            POSSIBLE: trial.right > 0,
        },
    )


def _voted(trial: Trial, chances: Mapping[str, float]) -> str | None:
    """Whose answer the majority gave."""
    asked = Question.of(read_as(trial.item))
    ballots = ballots_of(asked, [completion_of(a) for a in trial.outputs])
    options = len(trial.item.choices) or options_in(asked)
    return Majority().judge(Case(ballots, chances, options)).leader
