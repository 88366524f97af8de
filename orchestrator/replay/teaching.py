"""What a new snapshot learns by replaying its own answers: which vote, and what ``auto`` is.

The same cross-validation as in ``coterie eval replay``, over the answers a service has stored.
Experts are compared on the questions that all of them were graded on
(:mod:`orchestrator.replay.panel`); votes are fitted on everything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from aggregator.learned import LearnedVote
from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind, GradedAnswer
from evals.recorded import Recording
from orchestrator.replay import aggregating
from orchestrator.replay.choose import Chooser
from orchestrator.replay.cost import call_costs
from orchestrator.replay.lesson import Lesson
from orchestrator.replay.material import Material
from orchestrator.replay.panel import panel_of
from orchestrator.routing import Policy
from skills.knowledge import Knowledge
from skills.memory import Memory
from skills.questions import StoredQuestion

log = logging.getLogger(__name__)

LEAST = 200
"""Questions under which nothing is compared: differences would be noise."""

MOST = 1500
"""Questions that are compared on, drawn with the policy's seed: it takes a minute or two."""

STRATEGIES = ("symbolic", "regression", "neighbours", "coe", "cascade", "adaptive", "best-single")
VOTES = ("weighted", "majority", "learned")
"""Not ``learned-options``: what it knows of the wording of options is true of one benchmark."""


class Teacher:
    """Chooses and fits what a snapshot keeps; ``experts`` gives the registered ones by name."""

    def __init__(self, policy: Policy, experts: Callable[[], Mapping[str, Expert]]) -> None:
        self._policy = policy
        self._experts = experts

    def finish(
        self,
        knowledge: Knowledge,
        questions: Sequence[StoredQuestion],
        answers: Sequence[GradedAnswer] = (),
    ) -> Knowledge:
        """``knowledge`` with its choices and fitted votes; as it is where there is too little.

        Without choices where too few questions are common to any two experts.  ``answers`` are all
        that were graded: those that made one answer of many tell when that is worth its call.

        Blocks, for a minute or two where thousands of answers are stored.
        """
        if under := aggregating.learned(questions, answers):
            choices = {**knowledge.choices, "aggregate": f"{under:.4f}"}
            knowledge = replace(knowledge, choices=choices)
        return self._voting(knowledge, questions)

    def _voting(self, knowledge: Knowledge, questions: Sequence[StoredQuestion]) -> Knowledge:
        memory = knowledge.memory
        if memory is None or not _teaches(memory):
            return knowledge
        try:
            return self._taught(knowledge, memory, questions)
        except ConfigurationError as error:
            log.warning("votes and strategies were not compared: %s", error)
            return knowledge

    def _taught(
        self, knowledge: Knowledge, memory: Memory, questions: Sequence[StoredQuestion]
    ) -> Knowledge:
        everything = Lesson(
            self.material(memory, questions), np.arange(len(memory)), seed=self._policy.seed
        )
        learned = everything.vote("learned")
        assert isinstance(learned, LearnedVote)
        return replace(
            knowledge,
            choices={**knowledge.choices, **self._choices(memory, questions)},
            fitted={**knowledge.fitted, "learned": learned.to_json()},
        )

    def _choices(self, memory: Memory, questions: Sequence[StoredQuestion]) -> dict[str, str]:
        """The votes and the strategy, compared on what everybody compared has answered."""
        panel = panel_of(memory, LEAST)
        if panel is None:
            log.warning(
                "votes and strategies were not compared: no two experts were graded on the same "
                "%d questions; profile them on the same ones",
                LEAST,
            )
            return {}
        if left_out := sorted(set(memory.experts) - set(panel.experts)):
            log.info("graded on too little to be compared with: %s", ", ".join(left_out))
        material = self.material(memory.of_experts(panel.experts), questions)
        rng = np.random.default_rng(self._policy.seed)
        rows = np.sort(panel.rows[rng.permutation(len(panel.rows))[:MOST]])
        lesson = Lesson(material, rows, seed=self._policy.seed)
        costs = call_costs(material, rows) / _best_single_cost(lesson)
        chooser = Chooser(lesson, self._policy, VOTES, costs, log.info)
        best = chooser.strategy(STRATEGIES)
        votes = {f"vote/{name}": chooser.vote(name).vote for name in STRATEGIES}
        return {**votes, "auto": best.strategy, "vote": best.vote}

    def material(self, memory: Memory, questions: Sequence[StoredQuestion]) -> Material:
        """The stored answers as they are replayed: one that is missing was not asked for."""
        known = self._experts()
        experts = tuple(
            known.get(n) or Expert(n, ExpertKind.OPENAI, n, endpoint="http://unregistered.invalid")
            for n in memory.experts
        )
        recording = _recording(memory, questions)
        return Material(
            recording,
            experts,
            memory.skills,
            memory.vectors,
            missing_is_wrong=False,
            counted=memory.options,
        )


def _teaches(memory: Memory) -> bool:
    embedded = memory.vectors.shape[1] > 0
    return len(memory) >= LEAST and len(memory.experts) > 1 and embedded


def _recording(memory: Memory, questions: Sequence[StoredQuestion]) -> Recording:
    """The stored answers in the form that is replayed; all of one split."""
    q, unknown = len(memory), np.full(memory.correct.shape, np.nan, dtype=np.float32)
    return Recording(
        benchmark="stored answers",
        experts=memory.experts,
        items=memory.items,
        texts=tuple(x.text for x in questions),
        choices=tuple(x.choices for x in questions),
        targets=tuple(_target(memory, i, x) for i, x in enumerate(questions)),
        categories=memory.categories,
        groups=tuple(f"{x.task}/{x.group or x.item}" for x in questions),
        splits=np.full(q, "val"),
        folds=np.zeros(q, dtype=np.int16),
        answers=memory.answers,
        correct=memory.correct,
        readings=memory.readings,
        tokens=memory.tokens,
        prompt_tokens=unknown,
        latency_s=unknown,
        parameters={},
    )


def _target(memory: Memory, row: int, question: StoredQuestion) -> str:
    """The right answer in the form that answers are read in: one that was graded right, if any."""
    right = np.flatnonzero((memory.correct[row] == 1) & (memory.answers[row] != ""))
    return str(memory.answers[row, right[0]]) if len(right) else question.target


def _best_single_cost(lesson: Lesson) -> float:
    costs, table = lesson.pool.costs.expected, lesson.pool.table
    return float(costs[int(table.mean[0].argmax())]) or 1.0
