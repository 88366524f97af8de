"""What the wording of a question's options says of which is right, before anyone is asked.

Writers of multiple-choice questions leave traces: the right option shares more words with the
others (wrong ones are made from it), is more often the careful long one, is seldom the extreme
number.  A conditional logit over such traces is fitted on questions whose right option is known.

It knows nothing of the subject.  What it learned holds for options written as those of the
profiling questions were, and for no others: a vote that uses it says so in its name.  Pure.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.choice_model import Cases, Matrix, fit, probabilities
from aggregator.training import Training

PENALTY = 10.0
FOLDS = 5
WIDEST = 4.0
TOKEN = re.compile(r"[a-z]+|\d+\.?\d*|[^\sa-z0-9]")
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e-?\d+)?")
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


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """The fitted weights, (p), of the features standardised by ``mean`` and ``sd``, (p) each."""

    weights: Matrix
    mean: Matrix
    sd: Matrix

    def log_prior(self, text: str, choices: tuple[str, ...]) -> Matrix:
        """(o) the log-probability of each option, from how the options are written alone."""
        scores = self.standard(features(text, choices)) @ self.weights
        return np.asarray(np.log(probabilities(scores, np.array([0]))))

    def standard(self, rows: NDArray[np.floating]) -> Matrix:
        """The features in spreads from their mean."""
        return np.asarray(np.clip((rows - self.mean) / self.sd, -WIDEST, WIDEST))

    def as_dict(self) -> dict[str, list[float]]:
        """For JSON."""
        parts = {"weights": self.weights, "mean": self.mean, "sd": self.sd}
        return {name: values.tolist() for name, values in parts.items()}

    @classmethod
    def of_dict(cls, d: Mapping[str, Any]) -> Forms:
        """What :meth:`as_dict` gave."""
        return cls(*(np.array(d[name]) for name in ("weights", "mean", "sd")))


def fit_forms(training: Training) -> Forms | None:
    """Fitted on every question with options and a known right one; None where there is none."""
    rows = _rows(training)
    which = [q for q in range(len(training)) if rows[q] is not None]
    return _fit(training, rows, which) if which else None


def held_out_forms(training: Training, *, seed: int = 0) -> list[Matrix]:
    """Each question's log-prior as told by the others: (o) each; empty where it has no options."""
    rows = _rows(training)
    groups = np.unique(training.groups)
    fold = dict(
        zip(
            groups.tolist(),
            np.random.default_rng(seed).permutation(len(groups)) % FOLDS,
            strict=True,
        )
    )
    folds = np.array([fold[g] for g in training.groups.tolist()])
    found = [np.zeros(0)] * len(training)
    for f in range(FOLDS):
        usable = [q for q in range(len(training)) if rows[q] is not None]
        others = [q for q in usable if folds[q] != f]
        if not others:
            continue
        forms = _fit(training, rows, others)
        for q in (q for q in usable if folds[q] == f):
            scores = forms.standard(rows[q]) @ forms.weights
            found[q] = np.log(probabilities(scores, np.array([0])))
    return found


def _rows(training: Training) -> list[Any]:
    """(o, p) of every question; None where it has no options, or no right one among them."""
    found: list[Any] = []
    for text, choices, target in zip(
        training.texts, training.choices, training.targets, strict=True
    ):
        right = ord(target) - ord("A") if len(target) == 1 else -1
        usable = len(choices) > 1 and 0 <= right < len(choices)
        found.append(features(text, choices) if usable else None)
    return found


def _fit(training: Training, rows: Sequence[Any], which: Sequence[int]) -> Forms:
    stacked = np.concatenate([rows[q] for q in which])
    mean, sd = stacked.mean(axis=0, dtype=np.float64), stacked.std(axis=0, dtype=np.float64) + 1e-6
    blank = Forms(np.zeros(stacked.shape[1]), mean, sd)
    sizes = np.array([len(rows[q]) for q in which])
    starts = np.cumsum(sizes) - sizes
    right = starts + [ord(training.targets[q]) - ord("A") for q in which]
    cases = Cases(blank.standard(stacked).astype(np.float32), starts, right, np.ones(len(which)))
    return Forms(fit(cases, np.full(stacked.shape[1], PENALTY)), mean, sd)


# --- features -----------------------------------------------------------------------------------


@lru_cache(maxsize=16_384)  # a question is looked at by every strategy that is compared on it
def features(text: str, choices: tuple[str, ...]) -> NDArray[np.float32]:
    """(o, p) the traces in each option, most of them relative to the others."""
    low = [c.lower().strip() for c in choices]
    tokens = [TOKEN.findall(c) for c in low]
    numbers = np.array([_first_number(c) for c in low])
    numeric = float((~np.isnan(numbers)).mean() > MOSTLY)
    columns = [
        *_lengths(choices, tokens, numeric),
        *_agreement(low, tokens, numeric),
        *_overlap(text, tokens),
        *_phrases(low),
        *_marks(choices),
        *_numbers(numbers, numeric),
        *_digits(low, numeric),
    ]
    return np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=1)


def _lengths(choices: Sequence[str], tokens: Sequence[list[str]], numeric: float) -> list[Any]:
    size = np.array([len(c) for c in choices], dtype=float)
    ratio = np.log((size + 1) / (size.mean() + 1))
    words = np.array([len(t) for t in tokens], dtype=float)
    usual = Counter(words.tolist())
    return [
        ratio * (1 - numeric),
        ratio * numeric,
        _ranks(size),
        np.abs(ratio),
        size == size.max(),
        size == size.min(),
        _z(words),
        _centred([usual[w] / len(words) for w in words.tolist()]),
        _z(np.array([np.mean([len(x) for x in t]) if t else 0.0 for t in tokens])),
    ]


def _agreement(low: Sequence[str], tokens: Sequence[list[str]], numeric: float) -> list[Any]:
    """How much an option has in common with the others: wrong ones are made from the right one."""
    sets = [set(t) for t in tokens]
    counts = Counter(x for s in sets for x in s)
    others = max(1, len(low) - 1)
    shared = np.array([np.mean([(counts[x] - 1) / others for x in s]) if s else 0.0 for s in sets])
    alone = np.array([sum(counts[x] == 1 for x in s) for s in sets], dtype=float)
    words, threes = _likeness(sets), _likeness([_threes(o) for o in low])
    first, last = _ends(tokens, 0), _ends(tokens, -1)
    return [
        _centred(shared),
        _centred(shared) * numeric,
        _z(shared),
        _z(alone),
        alone / np.maximum(1, [len(s) for s in sets]),
        _centred(words.max(axis=1)),
        _z((words > 0.5).sum(axis=1).astype(float)),
        _z((words > 0.8).sum(axis=1).astype(float)),
        _z(threes.sum(axis=1)) * (1 - numeric),
        _z(threes.sum(axis=1)) * numeric,
        _centred(threes.max(axis=1)),
        _centred(first),
        _centred(last),
        [low.count(o) - 1 for o in low],
    ]


def _overlap(text: str, tokens: Sequence[list[str]]) -> list[Any]:
    asked = set(TOKEN.findall(text.lower()))
    share = np.array([len(set(t) & asked) / max(1, len(set(t))) for t in tokens])
    long = np.array([sum(len(x) > 3 for x in set(t) & asked) for t in tokens], dtype=float)
    return [_centred(share), _z(long)]


def _phrases(low: Sequence[str]) -> list[Any]:
    return [[bool(re.search(pattern, o)) for o in low] for pattern in PHRASES.values()]


def _marks(choices: Sequence[str]) -> list[Any]:
    """Each mark, and whether an option is with the majority in having it or not."""
    columns: list[Any] = []
    for has in MARKS.values():
        x = np.array([float(has(c)) for c in choices])
        columns += [_centred(x), np.where(x > 0.5, x.mean(), 1 - x.mean())]
    return columns


def _numbers(numbers: Matrix, numeric: float) -> list[Any]:
    """Where an option's number stands among the others', and which simple factors part them."""
    n = len(numbers)
    rank, size, kin, digits, near, middle = np.full(n, 0.5), *(np.zeros(n) for _ in range(5))
    at = np.flatnonzero(~np.isnan(numbers))
    if numeric and len(at) > 2:
        x = numbers[at]
        rank[at] = (_ranks(x) + 0.5).clip(0, 1)
        log = np.log(np.abs(x) + 1e-12)
        size[at] = np.clip((log - np.median(log)) / (log.std() + 1e-6), -3, 3)
        apart = np.abs(log[:, None] - log[None]) + np.diag(np.full(len(at), 99.0))
        kin[at] = sum(
            weight * (np.abs(apart - math.log(factor)) < 0.005).sum(axis=1)
            for factor, weight in (
                (2, 1),
                (10, 1),
                (4, 0.5),
                (3, 0.5),
                (1, 1),
                (100, 0.5),
                (1.5, 0.5),
            )
        )
        heads = [re.sub(r"[^1-9]", "", f"{a:g}".split("e")[0])[:3] for a in np.abs(x)]
        same = Counter(heads)
        digits[at] = [same[h] - 1 for h in heads]
        near[at] = (apart < 0.1).sum(axis=1)
        middle[at] = -np.abs(x - np.median(x)) / (np.std(x) + 1e-9)
    return [
        (rank - 0.5) * numeric,
        np.abs(rank - 0.5) * 2 * numeric,
        (rank == 0) * numeric,
        (rank == 1) * numeric,
        size,
        np.abs(size),
        kin,
        _z(kin),
        digits,
        _z(digits),
        _z(near),
        middle,
        (np.nan_to_num(numbers) < 0) * numeric,
        numbers == 0,
        np.abs(numbers) == 1,
    ]


def _digits(low: Sequence[str], numeric: float) -> list[Any]:
    """How exactly an option's number is given."""
    count = np.array([sum(c.isdigit() for c in o) for o in low], dtype=float)
    figures = np.array([len(re.sub(r"\D", "", o).strip("0")) for o in low], dtype=float)
    places = np.array([len(m[1]) if (m := re.search(r"\.(\d+)", o)) else 0 for o in low], float)
    usual = Counter(places.tolist())
    return [
        _z(count) * numeric,
        np.clip(count - count.mean(), -5, 5) * numeric,
        np.clip(figures - figures.mean(), -4, 4) * numeric,
        np.clip(places - places.mean(), -3, 3),
        np.array([usual[p] for p in places.tolist()]) / len(low) * numeric,
        [numeric * bool(re.search(r"\d0(\D|$)", o)) for o in low],
        _z(np.array([len(NUMBER.findall(o)) for o in low], dtype=float)),
    ]


def _first_number(option: str) -> float:
    found = NUMBER.search(option)
    try:
        return float(found[0].replace(",", "")) if found else math.nan
    except ValueError:
        return math.nan


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


def _ranks(x: Matrix) -> Matrix:
    """Ranks from -0.5 to 0.5; ties in their order."""
    return np.argsort(np.argsort(x, kind="stable")) / max(1, len(x) - 1) - 0.5


def _centred(x: Sequence[float] | NDArray[np.floating]) -> Matrix:
    values = np.asarray(x, dtype=np.float64)
    return np.asarray(values - values.mean())


def _z(x: Matrix) -> Matrix:
    return np.asarray((x - x.mean()) / (x.std() + 1e-6))
