"""The profiling questions and how every expert did on them, as arrays.

Whatever learns from graded answers (neighbours, classifiers, error correlations, learned votes)
reads them here; nothing in it is ever a question that is being answered now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coterie.types import SkillWeight


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Graded answers of ``e`` experts to ``q`` questions.

    ``categories``: the benchmark's own label of each question, (q), "" where it has none;
    ``skills``: the skills each question needs, as inferred; ``vectors``: (q, d) unit embeddings;
    ``options``: (q) how many answers there are to choose from, 0 for open questions;
    ``correct``: (q, e) 1 or 0, NaN where the expert was not asked;
    ``answers``: (q, e) the canonical answer, "" where none could be read or none was given;
    ``readings``: (q, e) :class:`coterie.types.Reading` of each;
    ``tokens``: (q, e) length of the completion, NaN where it is not known.
    """

    experts: tuple[str, ...]
    items: tuple[str, ...]
    categories: tuple[str, ...]
    skills: tuple[tuple[SkillWeight, ...], ...]
    vectors: NDArray[np.float32]
    options: NDArray[np.int16]
    correct: NDArray[np.float32]
    answers: NDArray[np.str_]
    readings: NDArray[np.int8]
    tokens: NDArray[np.float32]

    def __post_init__(self) -> None:
        shape = (len(self.items), len(self.experts))
        for name in ("correct", "answers", "readings", "tokens"):
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"memory: {name!r} has shape {found}, not {shape}")
        if not len(self.items) == len(self.categories) == len(self.skills) == len(self.vectors):
            raise ValueError("memory: items, categories, skills and vectors differ in length")

    def __len__(self) -> int:
        return len(self.items)

    def of_experts(self, names: Sequence[str]) -> Memory:
        """The same questions, with the columns of ``names`` in that order; NaN for unknown ones."""
        place = {name: i for i, name in enumerate(self.experts)}
        known = [i for i, name in enumerate(names) if name in place]
        picked = [place[names[i]] for i in known]

        def columns(values: NDArray[Any], missing: object) -> NDArray[Any]:
            found = np.full((len(self), len(names)), missing, dtype=values.dtype)
            found[:, known] = values[:, picked]
            return found

        return Memory(
            experts=tuple(names),
            items=self.items,
            categories=self.categories,
            skills=self.skills,
            vectors=self.vectors,
            options=self.options,
            correct=columns(self.correct, np.nan),
            answers=columns(self.answers, ""),
            readings=columns(self.readings, 0),
            tokens=columns(self.tokens, np.nan),
        )

    def at(self, rows: NDArray[np.intp]) -> Memory:
        """The questions ``rows`` alone."""
        return Memory(
            experts=self.experts,
            items=tuple(self.items[i] for i in rows),
            categories=tuple(self.categories[i] for i in rows),
            skills=tuple(self.skills[i] for i in rows),
            vectors=self.vectors[rows],
            options=self.options[rows],
            correct=self.correct[rows],
            answers=self.answers[rows],
            readings=self.readings[rows],
            tokens=self.tokens[rows],
        )
