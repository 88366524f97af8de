"""Who can be asked, and what is known of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from coterie.types import Expert
from orchestrator.routing.costs import Costs, costs_of
from orchestrator.routing.hosting import Hosting, hosting_of
from skills.knowledge import Knowledge, Table

T = TypeVar("T")


class Pool:
    """Who can be asked (enabled, and the conversation fits), and what is known of them.

    Never empty, and in the order of names: no decision depends on the order experts came in.
    ``load``: how many requests each expert is answering now, 0 where it is not named;
    ``descriptions``: the unit embeddings, (texts, d), of what experts are said to be good at.
    """

    def __init__(
        self,
        experts: Sequence[Expert],
        knowledge: Knowledge,
        *,
        load: Mapping[str, int] | None = None,
        descriptions: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        self.experts = tuple(sorted(experts, key=lambda e: e.name))
        self.knowledge = knowledge
        self.load = dict(load or {})
        self.descriptions = dict(descriptions or {})

    def under(self, load: Mapping[str, int]) -> Pool:
        """The same pool under another load; what is derived from it is derived once for both."""
        _ = self.table, self.thrift, self.key
        other = copy.copy(self)
        other.load = dict(load)
        return other

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The experts' names."""
        return tuple(e.name for e in self.experts)

    @cached_property
    def table(self) -> Table:
        """The estimates of these experts."""
        return self.knowledge.table(self.names)

    @cached_property
    def costs(self) -> Costs:
        """What asking each of these experts takes."""
        return costs_of(self.experts, self.knowledge)

    @cached_property
    def hosting(self) -> Hosting:
        """The engines these experts run on, and the memory of each."""
        return hosting_of(self.experts)

    @cached_property
    def thrift(self) -> NDArray[np.intp]:
        """(e) each expert's rank when the cheapest comes first; what ties are broken by."""
        ranks = np.empty(len(self.experts), dtype=np.intp)
        ranks[np.argsort(self.costs.expected, kind="stable")] = np.arange(len(ranks))
        return ranks

    @cached_property
    def key(self) -> Hashable:
        """Stands for these experts and their costs in what knowledge derives once."""
        return self.names, self.costs.unit, tuple(self.costs.expected.tolist())

    def busyness(self) -> NDArray[np.float64] | None:
        """(e) each expert's load as a share of the greatest; None where nobody is busy."""
        load = np.array([self.load.get(name, 0) for name in self.names], dtype=float)
        return load / load.max() if load.max() > 0 else None

    def derive(self, what: Hashable, derive: Callable[[], T]) -> T:
        """What ``derive`` makes of these experts and what is known of them: made once.

        ``what`` names it, and every part of a policy that it depends on.
        """
        return self.knowledge.once((what, self.key), derive)
