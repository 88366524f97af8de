"""What is replayed: a recording, and what can be said of its questions before any answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigurationError
from coterie.types import Expert, ExpertKind, SkillWeight
from evals.recorded import Recording
from orchestrator.routing import Query
from skills.infer import EmbeddingInference, blend, weigh
from skills.memory import Memory


@dataclass(frozen=True, eq=False)
class Material:
    """A recording, its experts in the order of its columns, and its questions' skills and vectors.

    ``vectors``: (q, d) unit embeddings of the questions' texts.  ``missing_is_wrong``: everybody
    was asked everything, so that an answer that is not recorded was not given.  ``counted``: (q)
    numbers of options, where they are known better than by the options' recorded texts.
    """

    recording: Recording
    experts: tuple[Expert, ...]
    skills: tuple[tuple[SkillWeight, ...], ...]
    vectors: NDArray[np.float32]
    missing_is_wrong: bool = True
    counted: NDArray[np.int16] | None = None

    @cached_property
    def options(self) -> NDArray[np.int16]:
        """(q) how many answers each question gives to choose from, 0 for an open one."""
        if self.counted is not None:
            return self.counted
        return np.array([len(c) for c in self.recording.choices], dtype=np.int16)

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """(q) the group of each question, as a number."""
        return np.unique(np.array(self.recording.groups), return_inverse=True)[1]

    def query(self, row: int) -> Query:
        """All that a router sees of a question: neither its category nor any answer."""
        text, options = self.recording.texts[row], int(self.options[row])
        return Query(self.skills[row], text, self.vectors[row], options)

    def memory(self, rows: NDArray[np.intp]) -> Memory:
        """The questions ``rows`` with everyone's graded answers, to learn from."""
        return self._everything.at(rows)

    @cached_property
    def _everything(self) -> Memory:
        r = self.recording
        return Memory(
            experts=r.experts,
            items=r.items,
            categories=r.categories,
            skills=self.skills,
            vectors=self.vectors,
            options=self.options,
            correct=np.nan_to_num(r.correct, nan=0.0) if self.missing_is_wrong else r.correct,
            answers=r.answers,
            readings=r.readings,
            tokens=r.tokens,
        )


def study(
    recording: Recording,
    inference: EmbeddingInference,
    *,
    experts: Sequence[Expert] = (),
    keywords: Mapping[str, Sequence[str]] | None = None,
) -> Material:
    """Infers every question's skills and vector from its text, or skills from its ``keywords``.

    Experts that are declared bring their prices and parameters, and then all must be.  A question
    without keywords has the skills of its text, as online.
    """
    found = inference.infer_all(recording.texts)
    skills = tuple(f.skills for f in found)
    return Material(
        recording,
        _declared(recording, experts) if experts else _undeclared(recording),
        _by_keywords(recording.items, skills, keywords, inference) if keywords else skills,
        np.array([f.vector for f in found], dtype=np.float32),
    )


def _by_keywords(
    items: Sequence[str],
    by_meaning: Sequence[tuple[SkillWeight, ...]],
    keywords: Mapping[str, Sequence[str]],
    inference: EmbeddingInference,
) -> tuple[tuple[SkillWeight, ...], ...]:
    words = sorted({word for item in items for word in keywords.get(item, ())})
    near = {
        word: weigh(cosines, inference.matching)
        for word, cosines in zip(words, inference.cosines(words), strict=True)
    }
    return tuple(
        blend([(1.0, near[word]) for word in given]) if (given := keywords.get(item)) else skills
        for item, skills in zip(items, by_meaning, strict=True)
    )


# --- experts ------------------------------------------------------------------------------------


def _undeclared(recording: Recording) -> tuple[Expert, ...]:
    """The experts as models.csv knows them."""
    return tuple(
        Expert(
            name,
            ExpertKind.OPENAI,
            name,
            total_params_b=recording.parameters[name][0],
            active_params_b=recording.parameters[name][1],
        )
        for name in recording.experts
    )


def _declared(recording: Recording, experts: Sequence[Expert]) -> tuple[Expert, ...]:
    """The experts as an experts file declares them, under their recorded names."""
    found = tuple(_entry_of(name, experts) for name in recording.experts)
    missing = [n for n, e in zip(recording.experts, found, strict=True) if e is None]
    if missing:
        raise ConfigurationError(
            f"the experts file has no entry for the recorded {', '.join(map(repr, missing))}: one "
            "is found by its name, or by the last part of its model's name; add it, or replay "
            "without these experts"
        )
    return tuple(
        _named(expert, name, *recording.parameters[name])
        for name, expert in zip(recording.experts, found, strict=True)
        if expert is not None
    )


def _entry_of(name: str, experts: Sequence[Expert]) -> Expert | None:
    called = [e for e in experts if e.name.casefold() == name.casefold()]
    models = [e for e in experts if e.model.rsplit("/", 1)[-1].casefold() == name.casefold()]
    return next(iter((*called, *models)), None)


def _named(expert: Expert, name: str, total: float | None, active: float | None) -> Expert:
    return replace(
        expert,
        name=name,
        total_params_b=expert.total_params_b or total,
        active_params_b=expert.active_params_b or active,
    )
