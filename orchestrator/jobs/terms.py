"""What a job goes by from its beginning to its end, however often it is resumed.

Which snapshot, which experts as they were entered then, which policy: kept with the job as JSON.
An expert that has changed since is another one, and the job says so instead of mixing both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.base import options_in
from coterie import __version__
from coterie.errors import JobError, RequestError
from coterie.types import Expert, Item, Question, Route, Sampling, SkillWeight, as_jsonable
from orchestrator.deliberation import Matter
from orchestrator.jobs import record
from orchestrator.jobs.job import JobSpec
from orchestrator.jobs.keys import canonical, revision, seeded
from orchestrator.jobs.own_item import OwnItem
from orchestrator.needs import able, calls_tools, needs_of
from orchestrator.routing import Policy, Pool, Query, load_router
from orchestrator.voting import check_vote
from skills.knowledge import Knowledge


def fix(
    spec: JobSpec, experts: Mapping[str, Expert], knowledge: Knowledge, policy: Policy
) -> dict[str, Any]:
    """What is settled for a job of ``spec`` that begins now, as JSON.

    Raises an error that says what is wrong with the spec.
    """
    if spec.expert is None:
        load_router(spec.strategy)
    if spec.vote is not None:
        check_vote(spec.vote, knowledge)
    pool = _pool(spec, experts)
    needed = _needed(pool, experts)
    return {
        "snapshot": knowledge.name,
        "pool": [e.name for e in pool],
        "experts": [as_jsonable(e) for n, e in sorted(experts.items()) if e in pool or n in needed],
        "policy": as_jsonable(changed(policy, spec.policy)),
        "versions": {"coterie": __version__},
    }


def changed(policy: Policy, knobs: Mapping[str, Any]) -> Policy:
    """The policy with the ``knobs`` turned; raises :class:`RequestError` for one there is not."""
    known = [f.name for f in dataclasses.fields(policy)]
    for name in knobs:
        if name not in known:
            raise RequestError(
                f"the policy has no {name!r}; it has {', '.join(known)}", param="policy"
            )
    return dataclasses.replace(policy, **knobs)


def _needed(pool: Sequence[Expert], experts: Mapping[str, Expert]) -> frozenset[str]:
    """The experts that those of ``pool`` are made of; a small model may be a lora itself."""
    needed = frozenset[str]().union(*(e.needs for e in pool))
    return needed.union(*(experts[n].needs for n in needed if n in experts))


def _pool(spec: JobSpec, experts: Mapping[str, Expert]) -> list[Expert]:
    enabled = {n: e for n, e in sorted(experts.items()) if e.enabled and e.chats}
    recruited = tuple(n for n, e in enabled.items() if e.recruited)
    wanted = (spec.expert,) if spec.expert else spec.experts or recruited
    for name in wanted:
        if name not in enabled:
            state = "is disabled" if name in experts else "is not registered"
            raise RequestError(
                f"expert {name!r} {state}; there are {', '.join(enabled) or 'none'}",
                param="experts",
            )
    if not wanted:
        raise RequestError(
            "no expert is enabled that may be recruited: `coterie experts add` adds one",
            param="experts",
        )
    return [enabled[name] for name in dict.fromkeys(wanted)]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The terms of a job, at hand; ``experts`` has what those it may ask are made of too."""

    spec: JobSpec
    pool: Pool
    policy: Policy
    experts: Mapping[str, Expert]
    revisions: Mapping[str, str]
    secret: bool = False
    _plain: dict[str, tuple[Sampling, str]] = field(default_factory=dict)
    _pools: dict[tuple[str, ...], Pool] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        spec: JobSpec,
        fixed: Mapping[str, Any],
        knowledge: Knowledge,
        descriptions: Mapping[str, NDArray[np.float32]],
        *,
        secret: bool,
    ) -> Terms:
        """The terms that were settled as ``fixed``."""
        experts = {e.name: e for e in experts_of(fixed)}
        pool = Pool([experts[n] for n in fixed["pool"]], knowledge, descriptions=descriptions)
        policy = Policy(**fixed["policy"])
        revisions = {name: revision(experts[name], experts) for name in pool.names}
        return cls(spec, pool, policy, experts, revisions, secret)

    def gone(self, current: Mapping[str, Expert]) -> dict[str, str]:
        """The experts that nobody can ask any more, and what became of each."""
        found = {name: current.get(name) for name in self.pool.names}
        return {
            name: "disabled" if now else "removed"
            for name, now in found.items()
            if now is None or not now.enabled
        }

    def check(self, current: Mapping[str, Expert]) -> None:
        """Raises :class:`JobError` if an expert has become another one, or nobody is left to ask.

        Those that are gone fail what they are asked, and others answer instead.
        """
        gone = self.gone(current)
        if len(gone) == len(self.pool.names):
            raise JobError(
                f"{', '.join(f'expert {name!r} was {what}' for name, what in gone.items())} since "
                "the job began, and nobody is left to be asked: bring them back and resume the "
                "job, or start another one (what was answered is reused)"
            )
        for name in self.pool.names:
            now = current.get(name)
            if now is None or name in gone:
                continue
            needed = _needed([now], current) | {name}
            same = all(current.get(n) == self.experts.get(n) for n in needed)
            if not same and revision(now, current) != self.revisions[name]:
                raise JobError(
                    f"expert {name!r} has changed since the job began, and its answers with it: "
                    "change it back and resume the job, or start another one (what the others "
                    "answered is reused)"
                )

    def manner(self, item: Item) -> JobSpec | OwnItem:
        """How the item is asked: its strategy, expert and sampling."""
        return item if isinstance(item, OwnItem) else self.spec

    def pool_for(self, item: Item) -> Pool:
        """Who may be chosen for the item: those that are capable of what it needs, and all where
        nobody is; what it needs beyond text an item says itself, or it needs nothing."""
        needs = needs_of(item.question, item.sampling) if isinstance(item, OwnItem) else {}
        if not needs:
            return self.pool
        try:
            capable = able(self.pool.experts, needs)
        except RequestError:
            return self.pool  # the experts' own refusals say what is wrong
        names = tuple(e.name for e in capable)
        if names == self.pool.names:
            return self.pool
        if names not in self._pools:
            descriptions = self.pool.descriptions
            self._pools[names] = Pool(capable, self.pool.knowledge, descriptions=descriptions)
        return self._pools[names]

    def policy_for(self, item: Item) -> Policy:
        """How many may be asked of the item: one, where it may call a tool."""
        if isinstance(item, OwnItem) and calls_tools(item.question, item.sampling):
            return dataclasses.replace(self.policy, most=1)
        return self.policy

    def strategy(self, item: Item) -> str:
        """Whose strategy decides on the item; "" where an expert is asked for by name."""
        manner = self.manner(item)
        return "" if manner.expert else manner.strategy

    def sampling(self, expert: str, item: Item) -> tuple[Sampling, str]:
        """How the expert answers this item; and the same as canonical JSON."""
        plain, text = self._sampling(expert, item)
        drawn = seeded(plain, self.spec.seed, item.id)
        return (plain, text) if drawn is plain else (drawn, canonical(drawn))

    def _sampling(self, expert: str, item: Item) -> tuple[Sampling, str]:
        own = isinstance(item, OwnItem)
        if own or expert not in self._plain:
            plain = self.manner(item).sampling.over(self.experts[expert].defaults)
            if own:
                return plain, canonical(plain)
            self._plain[expert] = plain, canonical(plain)
        return self._plain[expert]

    def query(
        self, item: Item, skills: tuple[SkillWeight, ...], vector: NDArray[np.float32] | None
    ) -> Query:
        """What a router sees of the item: never its category or its answer."""
        text = about(item)
        options = len(item.choices) or options_in(Question.of(text))
        return Query(skills, text, vector, options)

    def matter(self, item: Item, query: Query, route: Route) -> Matter:
        """What is deliberated about the item."""
        manner = self.manner(item)
        pool = None if manner.expert else self.pool_for(item)
        return Matter(
            item.question,
            query,
            pool,
            route,
            self.policy_for(item),
            self.spec.vote,
            read_as(item),
            manner.sampling,
        )


def experts_of(fixed: Mapping[str, Any]) -> Sequence[Expert]:
    """The experts that were settled."""
    return [record.expert_of(e) for e in fixed["experts"]]


def about(item: Item) -> str:
    """The question alone."""
    return item.about or item.question.text


def asking(item: Item) -> Question:
    """What says what is asked for: the question alone, or the whole prompt where it is no more."""
    return Question.of(item.about) if item.about else item.question


def read_as(item: Item) -> str:
    """What answers are read by: the options where there are some, else the question."""
    if not item.choices:
        return about(item)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    # On one line each, and never empty: an option is known by its first line.
    texts = (" ".join(choice.split()) or "–" for choice in item.choices)
    return "\n".join(f"{letter}. {text}" for letter, text in zip(letters, texts, strict=False))
