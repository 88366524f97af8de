"""What can be learned from some questions of a recording, and how questions are divided for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aggregator.base import Vote
from aggregator.training import Training
from aggregator.votes import fitted_vote
from orchestrator.replay.material import Material
from orchestrator.routing import Pool
from orchestrator.routing.base import expected_success
from orchestrator.routing.outlook import regression_of
from skills.estimate import estimate_profiles
from skills.knowledge import Knowledge

FOLDS = 5


class Lesson:
    """Everything learned from the questions ``rows``: knowledge, and votes fitted when asked for.

    What would be learned without a part of them is a lesson of its own: see :func:`divided`.
    """

    def __init__(self, material: Material, rows: NDArray[np.intp], *, seed: int = 0) -> None:
        self.material = material
        self.rows = rows
        self.seed = seed
        self._votes: dict[str, Vote] = {}

    @cached_property
    def pool(self) -> Pool:
        """The experts, with what the questions taught about them."""
        memory = self.material.memory(self.rows)
        knowledge = Knowledge.of(estimate_profiles(memory), name="replay", memory=memory)
        return Pool(self.material.experts, knowledge)

    def vote(self, name: str) -> Vote:
        """The vote called ``name``, fitted on these questions alone where it must learn."""
        if name not in self._votes:
            self._votes[name] = fitted_vote(name, lambda: self.training)
        return self._votes[name]

    @cached_property
    def training(self) -> Training:
        """The questions as a vote learns from them."""
        material, rows = self.material, self.rows
        r = material.recording
        return Training(
            experts=r.experts,
            texts=tuple(r.texts[i] for i in rows),
            targets=tuple(r.targets[i] for i in rows),
            options=material.options[rows],
            choices=tuple(r.choices[i] for i in rows),
            context=self._subjects(),
            groups=material.groups[rows],
            answers=r.answers[rows],
            correct=r.correct[rows],
            readings=r.readings[rows],
            tokens=r.tokens[rows],
            chances=self._chances(),
        )

    def _subjects(self) -> NDArray[np.float64]:
        """(q, c) what each question is about, told by what the others teach."""
        fitted = regression_of(self.pool)
        return fitted.subjects if fitted else np.zeros((len(self.rows), 0))

    def _chances(self) -> NDArray[np.float64]:
        """(q, e) each expert's expected success, told by what the other questions teach."""
        fitted = regression_of(self.pool)
        if fitted is not None:
            return fitted.held_out
        found = np.full((len(self.rows), len(self.material.experts)), 0.5)
        place = {int(row): i for i, row in enumerate(self.rows)}
        for lesson, held in divided(self.material, self.rows, seed=self.seed):
            for row in held:
                mean, _ = expected_success(self.material.skills[row], lesson.pool.table)
                found[place[int(row)]] = np.clip(mean, 0.0, 1.0)
        return found


def divided(
    material: Material, rows: NDArray[np.intp], *, seed: int, folds: int = FOLDS
) -> Iterator[tuple[Lesson, NDArray[np.intp]]]:
    """Each part of ``rows`` once, with the lesson of all the others.  Groups are never divided.

    Nothing where all questions are of one group.
    """
    groups, group = np.unique(material.groups[rows], return_inverse=True)
    if len(groups) < 2:
        return
    fold = (np.random.default_rng(seed).permutation(len(groups)) % folds)[group]
    for f in range(min(folds, len(groups))):
        yield Lesson(material, rows[fold != f], seed=seed), rows[fold == f]
