"""Which row of a cache belongs to whom: slots 0 … n − 1, without holes.

Pure bookkeeping.  Whoever leaves is replaced by the last one, so that the rows in use can be
looked at as one block, with no copying at every step:

    A B C D  ── B leaves ──>  A D C        (one move: 3 → 1)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Slot:
    """``index`` is the row of the cache, ``filled`` how many of its positions are right."""

    index: int
    filled: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """What is in row ``source`` belongs into row ``target``: its first ``length`` positions."""

    source: int
    target: int
    length: int


class SlotTable(Generic[K]):
    """Gives out slots; at most ``limit`` at a time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._slots: dict[K, Slot] = {}
        self._owners: list[K] = []

    def __len__(self) -> int:
        return len(self._owners)

    def __iter__(self) -> Iterator[K]:
        """The owners, by slot."""
        return iter(tuple(self._owners))

    def __contains__(self, key: object) -> bool:
        return key in self._slots

    def __getitem__(self, key: K) -> Slot:
        return self._slots[key]

    @property
    def longest(self) -> int:
        """The most positions that are right in any slot."""
        return max((slot.filled for slot in self._slots.values()), default=0)

    def take(self, key: K) -> Slot:
        """The slot of ``key``, a new and empty one if it had none."""
        if (slot := self._slots.get(key)) is not None:
            return slot
        if len(self) == self.limit:
            raise RuntimeError(f"all {self.limit} slots are taken: free one first")
        slot = self._slots[key] = Slot(len(self))
        self._owners.append(key)
        return slot

    def free(self, key: K) -> Move | None:
        """Takes the slot of ``key`` back; what the cache must move so that no hole is left."""
        slot = self._slots.pop(key)
        last = self._owners.pop()
        if last == key:
            return None
        self._owners[slot.index] = last
        moved = self._slots[last]
        move = Move(moved.index, slot.index, moved.filled)
        moved.index = slot.index
        return move

    def victims(self, wanted: Iterable[K], spared: Iterable[K]) -> list[K]:
        """Whom to free so that all of ``wanted`` fit: those not in ``spared``, the last first.

        ``wanted`` must fit into ``limit``, and are spared themselves.
        """
        keep = set(wanted)
        room = self.limit - len(self) - sum(key not in self._slots for key in keep)
        if room >= 0:
            return []
        later = set(spared) - keep
        others = [key for key in reversed(self._owners) if key not in keep]
        return sorted(others, key=later.__contains__)[:-room]
