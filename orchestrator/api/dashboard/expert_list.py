"""The table of experts: filtered, sorted, a page at a time.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.api.dashboard.listing import Window, address, window
from orchestrator.api.dashboard.standing import Standing

PATH = "/dashboard/experts"
SIZE = 50
ALL = ""

_KEYS: Mapping[str, Callable[[Standing], Any]] = {
    "name": lambda s: s.name,
    "state": lambda s: (s.state.kind, s.state.word),
    "kind": lambda s: s.expert.kind.value,
    "where": lambda s: s.where,
    "load": lambda s: s.running,
    "success": lambda s: s.success.mean if s.success else -1.0,
    "calls": lambda s: s.calls,
    "cost": lambda s: s.cost_usd,
    "latency": lambda s: -1.0 if s.latency_ms is None else s.latency_ms,
}
_WORDS = frozenset({"name", "state", "kind", "where"})
COLUMNS = (
    ("name", "Expert"),
    ("state", "State"),
    ("kind", "Kind"),
    ("where", "Resident"),
    ("load", "Answering now"),
    ("success", "Success"),
    ("calls", "Calls"),
    ("cost", "Cost"),
    ("latency", "Latency"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which experts, in what order: ``sort`` names a column, with a dash before it backwards."""

    text: str = ""
    state: str = ALL
    kind: str = ALL
    source: str = ALL
    sort: str = "name"
    page: int = 1

    @property
    def column(self) -> str:
        name = self.sort.removeprefix("-")
        return name if name in _KEYS else "name"

    @property
    def backwards(self) -> bool:
        return self.sort.startswith("-")

    @property
    def narrowed(self) -> bool:
        """Whether anything is asked for at all."""
        return bool(self.text or self.state or self.kind or self.source)

    def address(self, **changes: Any) -> str:
        """Where the list is found; a change of anything but the page begins with the first."""
        said = replace(self, **{"page": 1, **changes})
        fields = {
            "text": said.text,
            "state": said.state,
            "kind": said.kind,
            "source": said.source,
            "sort": "" if said.sort == "name" else said.sort,
            "page": "" if said.page == 1 else said.page,
        }
        return address(PATH, fields)

    def sorted_by(self, column: str) -> str:
        """Where the list is found sorted by a column: names from a, numbers from the largest."""
        first = column if column in _WORDS else f"-{column}"
        other = column if first.startswith("-") else f"-{column}"
        return self.address(sort=other if self.sort == first else first)

    def direction(self, column: str) -> str:
        """For ``aria-sort``."""
        if column != self.column:
            return "none"
        return "descending" if self.backwards else "ascending"


def shown(standings: Sequence[Standing], wanted: Wanted) -> Window[Standing]:
    """What is wanted of the experts."""
    found = sorted((s for s in standings if _passes(s, wanted)), key=lambda s: s.name)
    found.sort(key=_KEYS[wanted.column], reverse=wanted.backwards)
    return window(found, wanted.page, SIZE)


def _passes(one: Standing, wanted: Wanted) -> bool:
    if wanted.state not in (ALL, one.state.word) or wanted.kind not in (ALL, one.expert.kind.value):
        return False
    if wanted.source not in (ALL, one.expert.source.value):
        return False
    expert = one.expert
    said = "\n".join((expert.name, expert.model, expert.description, *expert.tags)).casefold()
    return all(word in said for word in wanted.text.casefold().split())
