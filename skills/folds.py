"""Which questions are held out together, when something is learned from graded answers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def groups_of(items: Sequence[str]) -> NDArray[np.intp]:
    """(q) a number for each question, the same for an item that occurs twice."""
    _, group = np.unique(np.array(items, dtype=np.str_), return_inverse=True)
    return group.astype(np.intp)


def folds(items: Sequence[str], n: int, seed: int = 0) -> NDArray[np.intp]:
    """(q) the fold of each question, in [0, ``n``); an item that occurs twice is in one fold.

    Depends on the seed and on which items there are, not on their order.
    """
    group = groups_of(items)
    size = int(group.max(initial=-1)) + 1
    return (np.random.default_rng(seed).permutation(size) % n)[group].astype(np.intp)


def folds_by_name(items: Sequence[str], n: int) -> NDArray[np.intp]:
    """(q) the fold of each question, in [0, ``n``); an item that occurs twice is in one fold.

    Drawn by the item's name alone: a question stays in its fold whatever others there are.
    """
    return np.array([_digest(item) % n for item in items], dtype=np.intp)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
