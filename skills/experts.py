"""The registry of experts: what the configuration file declares and what the API manages.

===========  =================================  ===============================================
source       who owns the entry                 what a start does with it
===========  =================================  ===============================================
declared     the configuration file             put in, refreshed, or removed if gone from there
managed      the API                            nothing
===========  =================================  ===============================================

An administrator may disable any expert; that outlives a restart.  Every change is checked against
the experts it would leave behind before anything is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from coterie.errors import DuplicateExpert, RegistryError
from coterie.types import Expert, ExpertSource
from skills.validation import by_name, check, check_all, check_not_needed, normalised


class Store(Protocol):
    """Where experts are kept."""

    async def list(self, *, enabled_only: bool = False) -> tuple[Expert, ...]: ...

    async def get(self, name: str) -> Expert: ...

    async def add(self, expert: Expert) -> None: ...

    async def replace(self, expert: Expert) -> None: ...

    async def set_enabled(self, name: str, enabled: bool) -> None: ...

    async def remove(self, name: str) -> None: ...

    async def switched_off(self) -> frozenset[str]: ...

    async def sync(self, put: Sequence[Expert], remove: Collection[str]) -> None: ...

    async def put(self, experts: Sequence[Expert]) -> None: ...


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """What a start changes: declared experts to put (``added`` and ``refreshed`` by name) and to
    remove."""

    put: tuple[Expert, ...] = ()
    added: tuple[str, ...] = ()
    refreshed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def plan_seed(
    existing: Sequence[Expert], declared: Sequence[Expert], switched_off: Collection[str] = ()
) -> SeedPlan:
    """How to get from ``existing`` to what the file declares; checks where that leads.

    ``switched_off`` names the experts that an administrator disabled.
    """
    before = by_name(existing)
    wanted = by_name(normalised(replace(e, source=ExpertSource.DECLARED)) for e in declared)
    _refuse_repeats(declared)
    _refuse_managed(before, wanted)
    wanted = {n: replace(e, enabled=e.enabled and n not in switched_off) for n, e in wanted.items()}

    removed = tuple(
        n for n, e in before.items() if e.source is ExpertSource.DECLARED and n not in wanted
    )
    after = {n: e for n, e in before.items() if n not in removed} | wanted
    for name in removed:
        check_not_needed(name, after, action="dropped from the configuration file")
    check_all(after, wanted)

    put = tuple(e for n, e in wanted.items() if before.get(n) != e)
    return SeedPlan(
        put=put,
        added=tuple(e.name for e in put if e.name not in before),
        refreshed=tuple(e.name for e in put if e.name in before),
        removed=removed,
    )


class Registry:
    """The experts Coterie may ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changing = asyncio.Lock()  # what was checked must still hold when it is written

    async def seed(self, declared: Sequence[Expert]) -> SeedPlan:
        """Brings the declared entries up to date; the same file twice changes nothing."""
        async with self._changing:
            existing = await self._store.list()
            plan = plan_seed(existing, declared, await self._store.switched_off())
            if plan.put or plan.removed:
                await self._store.sync(plan.put, plan.removed)
            return plan

    async def add(self, expert: Expert) -> Expert:
        """Registers a managed expert; returns it as it is kept."""
        expert = normalised(replace(expert, source=ExpertSource.MANAGED))
        async with self._changing:
            experts = by_name(await self._store.list())
            if expert.name not in experts:
                check(expert, experts)
            await self._store.add(expert)  # refuses a name that is taken
        return expert

    async def update(self, expert: Expert) -> Expert:
        """Overwrites a managed expert; returns it as it is kept."""
        expert = normalised(replace(expert, source=ExpertSource.MANAGED))
        async with self._changing:
            _refuse_declared(await self._store.get(expert.name), "changed")
            experts = by_name(await self._store.list()) | {expert.name: expert}
            if not expert.enabled:
                check_not_needed(expert.name, experts, action="disabled")
            check_all(experts, [expert.name])
            await self._store.replace(expert)
        return expert

    async def put(self, experts: Sequence[Expert]) -> None:
        """Adds and overwrites managed experts, all or none of them; they may need one another."""
        new = by_name(normalised(replace(e, source=ExpertSource.MANAGED)) for e in experts)
        async with self._changing:
            before = by_name(await self._store.list())
            for name in new.keys() & before.keys():
                _refuse_declared(before[name], "changed")
            after = before | new
            check_all(after, new)
            for name in sorted(n for n, e in new.items() if not e.enabled):
                check_not_needed(name, after, action="disabled")
            await self._store.put(tuple(new.values()))

    async def remove(self, name: str) -> None:
        """Forgets a managed expert and its graded answers."""
        async with self._changing:
            _refuse_declared(await self._store.get(name), "removed")
            check_not_needed(name, by_name(await self._store.list()), action="removed")
            await self._store.remove(name)

    async def enable(self, name: str) -> Expert:
        """Lets an expert be asked (again)."""
        async with self._changing:
            expert = replace(await self._store.get(name), enabled=True)
            check(expert, by_name(await self._store.list()))
            await self._store.set_enabled(name, True)
        return expert

    async def disable(self, name: str) -> Expert:
        """Keeps an expert from being asked, across restarts, until it is enabled."""
        async with self._changing:
            expert = replace(await self._store.get(name), enabled=False)
            check_not_needed(name, by_name(await self._store.list()), action="disabled")
            await self._store.set_enabled(name, False)
        return expert

    async def list(self) -> tuple[Expert, ...]:
        """Every expert, by name."""
        return await self._store.list()

    async def enabled(self) -> tuple[Expert, ...]:
        """Every expert that may be asked, by name."""
        return await self._store.list(enabled_only=True)

    async def get(self, name: str) -> Expert:
        """The expert called ``name``; raises :class:`coterie.errors.UnknownExpert`."""
        return await self._store.get(name)


def _refuse_repeats(declared: Sequence[Expert]) -> None:
    names = [expert.name for expert in declared]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DuplicateExpert(
            f"the configuration file declares {', '.join(map(repr, repeated))} more than once; "
            "give each entry its own name"
        )


def _refuse_managed(before: dict[str, Expert], wanted: dict[str, Expert]) -> None:
    managed = ExpertSource.MANAGED
    taken = [name for name in wanted if name in before and before[name].source is managed]
    if taken:
        raise DuplicateExpert(
            f"the configuration file declares {', '.join(map(repr, taken))}, but an expert of "
            "that name was added through the API; rename the entry in the file, or remove the "
            "other one with `coterie experts remove NAME`"
        )


def _refuse_declared(expert: Expert, action: str) -> None:
    if expert.source is ExpertSource.DECLARED:
        raise RegistryError(
            f"expert {expert.name!r} comes from the configuration file and cannot be {action} "
            "here, since the next start would undo it; edit the file, or disable the expert"
        )
