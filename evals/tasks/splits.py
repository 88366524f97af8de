"""Which questions are for profiles and which for tests, and in which order they come.  Pure.

Everything follows from ids by SHA-256, so that it is the same on every machine and for ever, and
does not depend on which questions a file holds.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from coterie.types import Item

FOLDS = 10
VAL_FOLDS = 2


def fold_of(group: str) -> int:
    """0 to 9: the first 32 bits of the SHA-256 of ``group``, modulo 10."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) % FOLDS


def is_val(group: str) -> bool:
    """Whether the questions of ``group`` are for profiles: a fifth is, folds 0 and 1."""
    return fold_of(group) < VAL_FOLDS


def in_turns(items: Iterable[Item]) -> tuple[Item, ...]:
    """Categories taking turns, so that the first n are balanced; each in an order drawn by id."""
    columns: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        columns[item.category].append(item)
    drawn = [sorted(columns[category], key=draw) for category in sorted(columns)]
    return tuple(item for turn in zip_longest(*drawn) for item in turn if item is not None)


def variants(
    ids: Sequence[str], texts: Sequence[str], choices: Sequence[Sequence[str]]
) -> list[str]:
    """(q) each question's group: the first id with the same text, and options that are among its
    own or hold all of them."""
    seen: defaultdict[str, list[tuple[frozenset[str], str]]] = defaultdict(list)
    found = []
    for id, text, options in zip(ids, texts, choices, strict=True):
        mine = frozenset(map(_bare, options))
        alike = seen[_bare(text)]
        group = next((g for theirs, g in alike if mine <= theirs or theirs <= mine), id)
        alike.append((mine, group))
        found.append(group)
    return found


def draw(item: Item) -> str:
    """What items are sorted by to draw some of them."""
    return hashlib.sha256(f"order {item.id}".encode()).hexdigest()


def _bare(text: str) -> str:
    return re.sub(r"\W+", "", text.casefold()) or text
