"""The pages there are, in the order in which they are offered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the navigation; offered to whoever has one of ``rights`` (names of Right)."""

    title: str
    path: str
    rights: tuple[str, ...]


ENTRIES = (
    Entry("Overview", "/dashboard", ("SEE",)),
    Entry("Experts", "/dashboard/experts", ("SEE",)),
    Entry("Skills", "/dashboard/skills", ("SEE",)),
    Entry("Playground", "/dashboard/playground", ("CHAT",)),
    Entry("Requests", "/dashboard/requests", ("SEE",)),
    Entry("Jobs", "/dashboard/jobs", ("SEE", "RUN")),
    Entry("Workers", "/dashboard/workers", ("SEE",)),
    Entry("Keys", "/dashboard/keys", ("MANAGE",)),
    Entry("Audit log", "/dashboard/audit", ("MANAGE",)),
)
