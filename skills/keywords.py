"""An LLM's keywords for a question: the prompt, how replies are read, and where they are kept.

The procedure of Symbolic-MoE (arXiv 2503.05641, section 3.1): several samples, each normalised,
and what recurs is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

KEYWORD_PROMPT = (
    "Name the two to five core skills, subjects or kinds of knowledge needed to answer the "
    "question below. Reply with the names alone, separated by commas.\n\n"
    "Question: {question}\n\nSkills:"
)

LIST_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Procedure:
    """How keywords are drawn: ``samples`` replies at ``temperature``, keywords of ``longest``
    characters at most, kept when at least ``least`` samples name them.  The published values.

    A reply is cut at ``max_tokens``; sample i is drawn with ``seed`` + i.
    """

    samples: int = 5
    temperature: float = 0.7
    longest: int = 20
    least: int = 2
    max_tokens: int = 48
    seed: int = 0


def parse_keywords(reply: str, *, longest: int = 20) -> tuple[str, ...]:
    """Keywords of one reply: split on commas, stripped, in lower case, without full stops.

    What is over ``longest`` characters is dropped.  Lines part keywords too, and list marks go:
    some models list where they were asked for commas.
    """
    parts = (LIST_MARK.sub("", part) for part in re.split(r"[,\n]", reply))
    words = (part.replace(".", "").strip().lower() for part in parts)
    return tuple(dict.fromkeys(w for w in words if 0 < len(w) <= longest))


def stable_keywords(samples: Sequence[Sequence[str]], *, least: int = 2) -> dict[str, float]:
    """Keywords in at least ``least`` samples, with the share of samples that named them.

    What recurs over repeated samples is kept, so that one wild sample does not name a skill; a
    single sample has to be believed.
    """
    counts = Counter(word for sample in samples for word in dict.fromkeys(sample))
    return {w: c / len(samples) for w, c in sorted(counts.items()) if c >= min(least, len(samples))}


# --- where they are kept ------------------------------------------------------------------------


class KeywordCache(Protocol):
    """Keeps stable keywords with their shares, by :func:`cache_key`."""

    async def get(self, key: str) -> Mapping[str, float] | None:
        """What was kept under ``key``; None where nothing was."""

    async def put(self, key: str, keywords: Mapping[str, float]) -> None:
        """Keeps ``keywords``, none among them; what was kept before goes."""


def cache_key(model: str, prompt: str, procedure: Procedure) -> str:
    """SHA-256, in hexadecimal, of all that decides the keywords."""
    text = json.dumps([model, prompt, asdict(procedure)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class RecentKeywords:
    """A keyword cache in memory: the ``size`` most recently used."""

    def __init__(self, size: int = 65_536) -> None:
        self._size = size
        self._kept: OrderedDict[str, Mapping[str, float]] = OrderedDict()

    async def get(self, key: str) -> Mapping[str, float] | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    async def put(self, key: str, keywords: Mapping[str, float]) -> None:
        self._kept[key] = dict(keywords)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
