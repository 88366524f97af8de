"""What a file of experts would change in the registry, told before it is done.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

from coterie.types import Expert, ExpertSource, as_jsonable
from orchestrator.experts_file import entry_of
from skills.validation import by_name, normalised


class Fate(StrEnum):
    """What becomes of an entry of the file."""

    ADDED = "added"
    CHANGED = "changed"
    SAME = "unchanged"
    DECLARED = "left as it is"
    """The server's own file declares an expert of that name, which only that file changes."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of an entry before and after, as JSON; None: it was, or will be, not there."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one entry."""

    expert: Expert
    fate: Fate
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Amendment:
    """What becomes of each entry of a file; experts that it does not name stay as they are."""

    changes: tuple[Change, ...]

    @property
    def put(self) -> tuple[Expert, ...]:
        """The experts to be written."""
        return tuple(c.expert for c in self.changes if c.fate in (Fate.ADDED, Fate.CHANGED))

    def with_fate(self, fate: Fate) -> tuple[str, ...]:
        """The names of those it happens to."""
        return tuple(c.expert.name for c in self.changes if c.fate is fate)

    @property
    def digest(self) -> str:
        """The same for the same changes: what was looked at is what is done."""
        told = json.dumps(as_jsonable(self.changes), sort_keys=True)
        return sha256(told.encode()).hexdigest()[:16]


def amend(existing: Sequence[Expert], wanted: Sequence[Expert]) -> Amendment:
    """What the entries of a file would change."""
    known = by_name(existing)
    return Amendment(tuple(_change(normalised(expert), known) for expert in wanted))


def _change(expert: Expert, known: Mapping[str, Expert]) -> Change:
    before = known.get(expert.name)
    if before is None:
        return Change(expert, Fate.ADDED, tuple(_differences({}, entry_of(expert))))
    if before.source is ExpertSource.DECLARED:
        return Change(before, Fate.DECLARED)
    expert = replace(expert, source=before.source)
    if expert == before:
        return Change(expert, Fate.SAME)
    return Change(expert, Fate.CHANGED, tuple(_differences(entry_of(before), entry_of(expert))))


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Difference]:
    for field in dict.fromkeys((*before, *after)):
        if field != "name" and before.get(field) != after.get(field):
            yield Difference(field, _text(before, field), _text(after, field))


def _text(entry: Mapping[str, object], field: str) -> str | None:
    return json.dumps(entry[field], ensure_ascii=False) if field in entry else None
