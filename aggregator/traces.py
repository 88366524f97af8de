"""The traces that writers of multiple-choice questions leave in their options.

Lengths, shared words, phrases, marks, numbers: most of them relative to the question's other
options, none of them about its subject.  Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aggregator.choice_model import Matrix
from aggregator.number_traces import digits, first_number, magnitudes
from aggregator.standing import Column, centred, in_spreads, ranks

TOKEN = re.compile(r"[a-z]+|\d+\.?\d*|[^\sa-z0-9]")
MOSTLY = 0.7
"""The share of options that must hold a number for them to be compared as numbers."""

PHRASES = {
    "none of": r"none of|cannot be|not enough|no correct|neither",
    "all of": r"all of|both ",
    "absolute": r"\b(always|never|only|every|must|all)\b",
    "hedged": r"\b(may|can|might|often|usually|generally|some|tend)\b",
    "negated": r"\b(not|no|cannot|without)\b|n't\b",
    "reason": r"\b(because|since|by|due)\b",
}
MARKS: Mapping[str, Callable[[str], bool]] = {
    "full stop": lambda o: o.rstrip().endswith("."),
    "capital": lambda o: o[:1].isupper(),
    "comma": lambda o: "," in o,
    "bracket": lambda o: "(" in o,
    "semicolon": lambda o: ";" in o,
    "formula": lambda o: "$" in o or "\\" in o,
    "slash": lambda o: "/" in o,
    "quote": lambda o: '"' in o,
    "dash": lambda o: "-" in o,
    "point": lambda o: "." in o,
    "power": lambda o: "^" in o or "10" in o,
    "equation": lambda o: "=" in o,
    "unit": lambda o: bool(re.search(r"\d\s*[a-zA-Z%°]", o)),
    "space": lambda o: o != o.strip(),
}


@lru_cache(maxsize=16_384)  # a question is looked at by every strategy that is compared on it
def features(text: str, choices: tuple[str, ...]) -> NDArray[np.float32]:
    """(o, p) the traces in each of one or more options, most of them relative to the others."""
    low = [c.lower().strip() for c in choices]
    tokens = [TOKEN.findall(c) for c in low]
    numbers = np.array([first_number(c) for c in low])
    numeric = float((~np.isnan(numbers)).mean() > MOSTLY)
    columns = [
        *_lengths(choices, tokens, numeric),
        *_agreement(low, tokens, numeric),
        *_overlap(text, tokens),
        *_phrases(low),
        *_marks(choices),
        *magnitudes(numbers, numeric),
        *digits(low, numeric),
    ]
    found = np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)
    found.setflags(write=False)  # whoever asks again gets the same array
    return found


def _lengths(choices: Sequence[str], tokens: Sequence[list[str]], numeric: float) -> list[Column]:
    size = np.array([len(c) for c in choices], dtype=float)
    ratio = np.log((size + 1) / (size.mean() + 1))
    words = np.array([len(t) for t in tokens], dtype=float)
    usual = Counter(words.tolist())
    return [
        ratio * (1 - numeric),
        ratio * numeric,
        ranks(size),
        np.abs(ratio),
        size == size.max(),
        size == size.min(),
        in_spreads(words),
        centred([usual[w] / len(words) for w in words.tolist()]),
        in_spreads(np.array([np.mean([len(x) for x in t]) if t else 0.0 for t in tokens])),
    ]


def _agreement(low: Sequence[str], tokens: Sequence[list[str]], numeric: float) -> list[Column]:
    """How much an option has in common with the others: wrong ones are made from the right one."""
    sets = [set(t) for t in tokens]
    counts = Counter(x for s in sets for x in s)
    others = max(1, len(low) - 1)
    shared = np.array([np.mean([(counts[x] - 1) / others for x in s]) if s else 0.0 for s in sets])
    alone = np.array([sum(counts[x] == 1 for x in s) for s in sets], dtype=float)
    words, threes = _likeness(sets), _likeness([_threes(o) for o in low])
    first, last = _ends(tokens, 0), _ends(tokens, -1)
    return [
        centred(shared),
        centred(shared) * numeric,
        in_spreads(shared),
        in_spreads(alone),
        alone / np.maximum(1, [len(s) for s in sets]),
        centred(words.max(axis=1)),
        in_spreads((words > 0.5).sum(axis=1).astype(float)),
        in_spreads((words > 0.8).sum(axis=1).astype(float)),
        in_spreads(threes.sum(axis=1)) * (1 - numeric),
        in_spreads(threes.sum(axis=1)) * numeric,
        centred(threes.max(axis=1)),
        centred(first),
        centred(last),
        [low.count(o) - 1 for o in low],
    ]


def _overlap(text: str, tokens: Sequence[list[str]]) -> list[Column]:
    asked = set(TOKEN.findall(text.lower()))
    share = np.array([len(set(t) & asked) / max(1, len(set(t))) for t in tokens])
    long = np.array([sum(len(x) > 3 for x in set(t) & asked) for t in tokens], dtype=float)
    return [centred(share), in_spreads(long)]


def _phrases(low: Sequence[str]) -> list[Column]:
    return [[bool(re.search(pattern, o)) for o in low] for pattern in PHRASES.values()]


def _marks(choices: Sequence[str]) -> list[Column]:
    """Each mark, and whether an option is with the majority in having it or not."""
    columns: list[Column] = []
    for has in MARKS.values():
        x = np.array([float(has(c)) for c in choices])
        columns += [centred(x), np.where(x > 0.5, x.mean(), 1 - x.mean())]
    return columns


def _threes(option: str) -> set[str]:
    return {option[i : i + 3] for i in range(max(1, len(option) - 2))}


def _likeness(sets: Sequence[set[str]]) -> Matrix:
    """(o, o) Jaccard similarity of every two; an option's own counts as 0."""
    found = np.array([[len(a & b) / max(1, len(a | b)) for b in sets] for a in sets])
    np.fill_diagonal(found, 0.0)
    return found


def _ends(tokens: Sequence[list[str]], at: int) -> Matrix:
    """The share of the others that begin, or end, with the same token."""
    ends = [t[at] if t else "" for t in tokens]
    counts = Counter(ends)
    return np.array([(counts[e] - 1) / max(1, len(ends) - 1) for e in ends])
