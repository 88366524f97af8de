"""Which keywords mean the same: decided in the open, one at a time, and taken back as easily.

A merge says that one name is to be read as another, how similar they are and who decided.  Nothing
is rewritten: profiles and stored answers keep the names they have, so a split restores what was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coterie.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Synonym:
    """``keyword`` is read as ``skill``: their cosine (1 where nobody measured), and who says so."""

    keyword: str
    skill: str
    similarity: float = 1.0
    by: str = ""


@dataclass(frozen=True, slots=True)
class Synonyms:
    """The merges that hold, by keyword.  Names are compared bare: see :func:`bare`."""

    merged: Mapping[str, Synonym] = field(default_factory=dict)

    @classmethod
    def of(cls, merges: Iterable[Synonym]) -> Synonyms:
        """All of ``merges``, in their order; raises as :meth:`merge` does."""
        found = cls()
        for merge in merges:
            found = found.merge(
                merge.keyword, merge.skill, similarity=merge.similarity, by=merge.by
            )
        return found

    def merge(self, keyword: str, skill: str, *, similarity: float = 1.0, by: str = "") -> Synonyms:
        """These and one more: ``keyword`` is read as ``skill``.

        Raises :class:`ConfigurationError` where the keyword is merged already, or the two would be
        read as each other.
        """
        word = bare(keyword)
        if word in self.merged:
            raise ConfigurationError(
                f"{keyword!r} is read as {self.merged[word].skill!r} already: split it first"
            )
        if bare(self.read(skill).skill) == word:
            raise ConfigurationError(
                f"{keyword!r} cannot be read as {skill!r}: the two would be read as each other; "
                f"split what {skill!r} is merged into first"
            )
        return Synonyms({**self.merged, word: Synonym(word, skill, similarity, by)})

    def split(self, keyword: str) -> Synonyms:
        """These without the merge of ``keyword``.

        Raises :class:`ConfigurationError` where it is not merged.
        """
        word = bare(keyword)
        if word not in self.merged:
            known = ", ".join(map(repr, sorted(self.merged))) or "none"
            raise ConfigurationError(f"{keyword!r} is not merged into anything; merged are {known}")
        return Synonyms({k: s for k, s in self.merged.items() if k != word})

    def read(self, keyword: str) -> Synonym:
        """What ``keyword`` is read as in the end; itself, with similarity 1, where unmerged.

        Over several merges the similarity is the least of theirs, ``by`` the last one's.
        """
        found = Synonym(bare(keyword), keyword)
        while (step := self.merged.get(bare(found.skill))) is not None:
            similarity = min(found.similarity, step.similarity)
            found = Synonym(found.keyword, step.skill, similarity, step.by)
        return found


def bare(name: str) -> str:
    """``name`` as it is compared: lower case, hyphens and underscores as spaces."""
    return " ".join(name.lower().replace("-", " ").replace("_", " ").split())


def suggestions(
    names: Sequence[str],
    vectors: NDArray[np.float32],
    synonyms: Synonyms | None = None,
    *,
    threshold: float = 0.8,
    by: str = "embedding",
) -> tuple[Synonym, ...]:
    """Merges worth deciding on, most similar first: names whose cosine is ``threshold`` or more.

    ``names`` come by precedence (skills, then keywords, the frequent ones first), ``vectors`` are
    their unit embeddings, (len(names), d): a name is to be read as the nearest one before it.
    Names that are merged already are left out.
    """
    merged = (synonyms or Synonyms()).merged
    rows = [i for i, name in enumerate(names) if bare(name) not in merged]
    cosines = vectors[rows] @ vectors[rows].T
    found = []
    for later in range(1, len(rows)):
        before = cosines[later, :later]
        nearest = int(before.argmax())
        if before[nearest] >= threshold:
            pair = (names[rows[later]], names[rows[nearest]])
            found.append(Synonym(bare(pair[0]), pair[1], float(before[nearest]), by))
    return tuple(sorted(found, key=lambda s: (-s.similarity, s.keyword)))


def near_skills(
    skills: Sequence[str],
    keywords: Sequence[str],
    vectors: NDArray[np.float32],
    synonyms: Synonyms | None = None,
    *,
    threshold: float = 0.8,
) -> tuple[Synonym, ...]:
    """The :func:`suggestions` that read a keyword as a skill; ``vectors``: skills, then keywords.

    Each keyword is compared to the skills alone: a keyword it resembles more is nothing that
    experts are graded on.
    """
    names = {bare(skill) for skill in skills}
    mine = vectors[: len(skills)]
    found: list[Synonym] = []
    for word, vector in zip(keywords, vectors[len(skills) :], strict=True):
        if bare(word) in names:
            continue
        nearest = int((mine @ vector).argmax())
        pair = np.stack([mine[nearest], vector])
        found += suggestions((skills[nearest], word), pair, synonyms, threshold=threshold)
    return tuple(sorted(found, key=lambda s: (-s.similarity, s.keyword)))
