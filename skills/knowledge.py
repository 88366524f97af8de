"""One snapshot of what is known of the experts: what every routing decision rests on.

A snapshot is named and never changes.  What can be derived from it (tables, neighbours,
classifiers, fitted votes) is derived once and kept with it: see :meth:`Knowledge.once`.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Hashable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from coterie.types import OVERALL, Profile
from skills.memory import Memory
from skills.profile import UNKNOWN

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Estimates of ``e`` experts at ``s`` skills, for decisions that read many at once.

    ``mean``, ``sd`` and ``n``: (s, e) float64; row ``rows[skill]``; where an expert was never
    graded on a skill its overall rate stands, with ``n`` 0.  Row 0 is the overall rate.
    """

    experts: tuple[str, ...]
    rows: Mapping[str, int]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    n: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """A snapshot called ``name``: profiles by expert, and the answers they were made of.

    ``choices`` are decisions taken once on these answers (a strategy's vote, what ``auto`` is), and
    ``fitted`` the models fitted to them, as text; both by name.
    """

    name: str = ""
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    memory: Memory | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    fitted: Mapping[str, str] = field(default_factory=dict)
    _derived: MutableMapping[Hashable, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        profiles: Iterable[Profile],
        *,
        name: str = "",
        memory: Memory | None = None,
        choices: Mapping[str, str] | None = None,
        fitted: Mapping[str, str] | None = None,
    ) -> Knowledge:
        """The snapshot of ``profiles``."""
        return cls(name, {p.expert: p for p in profiles}, memory, choices or {}, fitted or {})

    def profile(self, expert: str) -> Profile:
        """The expert's profile; an uninformed one where it was never graded."""
        return self.profiles.get(expert) or Profile(expert, UNKNOWN)

    def once(self, key: Hashable, derive: Callable[[], T]) -> T:
        """What ``derive`` gives, computed at the first call with this ``key`` and kept.

        ``derive`` must depend on nothing but this snapshot and the key.
        """
        if key not in self._derived:
            self._derived[key] = derive()
        return cast("T", self._derived[key])

    def apart(self) -> Knowledge:
        """The same, with what was derived from it; what is derived from now on is its own, and
        goes with it."""
        return replace(self, _derived=ChainMap({}, self._derived))

    def table(self, experts: tuple[str, ...]) -> Table:
        """The estimates of ``experts``, in that order."""
        return self.once(("table", experts), lambda: self._table(experts))

    def _table(self, experts: tuple[str, ...]) -> Table:
        profiles = [self.profile(name) for name in experts]
        names = sorted({skill for p in profiles for skill in p.skills})
        rows = {OVERALL: 0, **{skill: i for i, skill in enumerate(names, start=1)}}
        mean, sd, n = (np.empty((len(rows), len(profiles))) for _ in range(3))
        n[1:] = 0.0
        # Expert by expert, as there may be half a million estimates and most are there.
        for column, profile in enumerate(profiles):
            overall, graded = profile.overall, list(profile.skills.values())
            mean[:, column], sd[:, column], n[0, column] = overall.mean, overall.sd, overall.n
            at = [rows[skill] for skill in profile.skills]
            mean[at, column] = [e.mean for e in graded]
            sd[at, column] = [e.sd for e in graded]
            n[at, column] = [e.n for e in graded]
        return Table(experts, rows, mean, sd, n)
