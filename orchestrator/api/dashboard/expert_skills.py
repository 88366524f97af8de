"""One expert's skills against the pool's: estimates, and the range others are in.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from coterie.types import Estimate
from orchestrator.api.dashboard.listing import Window, address, window
from skills.knowledge import Knowledge, Table

SIZE = 40
SORTS = (
    ("evidence", "most evidence"),
    ("best", "best first"),
    ("worst", "worst first"),
    ("ahead", "furthest ahead of the pool"),
    ("behind", "furthest behind the pool"),
    ("name", "by name"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """The pool's estimates of a skill: lowest, median and highest mean of ``experts``."""

    low: float
    middle: float
    high: float
    experts: int


@dataclass(frozen=True, slots=True)
class SkillRow:
    """What is known of the expert at ``skill``; ``pool`` is None where nobody was graded."""

    skill: str
    estimate: Estimate
    pool: Span | None

    @property
    def lead(self) -> float:
        """How far it is ahead of the pool's middle."""
        return self.estimate.mean - self.pool.middle if self.pool else 0.0


@dataclass(frozen=True, slots=True)
class WantedSkills:
    """Which skills, in what order."""

    text: str = ""
    sort: str = "evidence"
    page: int = 1

    def address(self, path: str, **changes: Any) -> str:
        said = replace(self, **changes)
        sort = "" if said.sort == "evidence" else said.sort
        page = "" if said.page == 1 else said.page
        return address(path, {"text": said.text, "sort": sort, "page": page})


_KEYS: Mapping[str, Callable[[SkillRow], Any]] = {
    "evidence": lambda r: -r.estimate.n,
    "best": lambda r: -r.estimate.mean,
    "worst": lambda r: r.estimate.mean,
    "ahead": lambda r: -r.lead,
    "behind": lambda r: r.lead,
    "name": lambda r: r.skill,
}


def skill_rows(knowledge: Knowledge, expert: str, pool: tuple[str, ...]) -> list[SkillRow]:
    """Every skill that the expert was graded on; ``pool`` names those it is compared with."""
    profile = knowledge.profiles.get(expert)
    if profile is None:
        return []
    spans = knowledge.once(("spans", pool), lambda: _spans(knowledge.table(pool))) if pool else {}
    graded = ((skill, e) for skill, e in profile.skills.items() if e.n > 0)
    return [SkillRow(skill, estimate, spans.get(skill)) for skill, estimate in graded]


def shown_skills(rows: Sequence[SkillRow], wanted: WantedSkills) -> Window[SkillRow]:
    """What is wanted of the skills."""
    words = wanted.text.casefold().split()
    found = [r for r in rows if all(word in r.skill.casefold() for word in words)]
    key = _KEYS.get(wanted.sort, _KEYS["evidence"])
    return window(sorted(found, key=lambda r: (key(r), r.skill)), wanted.page, SIZE)


def _spans(table: Table) -> dict[str, Span]:
    counts = (table.n > 0).sum(axis=1)
    # Sorted by skill; those that were never graded come last.
    means = np.sort(np.where(table.n > 0, table.mean, np.inf), axis=1)  # (skills, experts)
    every, last = np.arange(len(counts)), np.maximum(counts, 1) - 1
    low, high = means[:, 0], means[every, last]
    middle = (means[every, last // 2] + means[every, (last + 1) // 2]) / 2
    return {
        skill: Span(float(low[i]), float(middle[i]), float(high[i]), int(counts[i]))
        for skill, i in table.rows.items()
        if counts[i]
    }
