"""Which skills a question needs: by sentence embeddings, or by an LLM's keywords.

Both say how sure they are, and fall back in the open: what resembles no skill is
``general-knowledge`` with the similarity that was found.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coterie.errors import EngineError
from coterie.ports import Engine
from coterie.types import Question, Sampling, Skill, SkillWeight
from skills.encoder import Encoder
from skills.taxonomy import GENERAL, by_name

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inferred:
    """What was made of a question: its ``skills``, whose weights sum to one, and its unit
    ``vector``, (d,), where it was embedded."""

    skills: tuple[SkillWeight, ...]
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


class SkillInference(Protocol):
    """Says which skills a question needs."""

    async def infer(self, question: Question) -> Inferred: ...


@dataclass(frozen=True, slots=True)
class Matching:
    """How similarities become weights.

    A skill counts when its cosine is at least ``floor``; the best ``most`` share the weight by a
    softmax of temperature ``temperature``, and a share under ``least`` is dropped.
    """

    floor: float = 0.25
    temperature: float = 0.05
    most: int = 3
    least: float = 0.1


def weigh(similarity: Mapping[str, float], matching: Matching) -> tuple[SkillWeight, ...]:
    """Weights from cosines, heaviest first; ``general-knowledge`` if none reaches the floor."""
    near = sorted(
        ((s, name) for name, s in similarity.items() if s >= matching.floor),
        key=lambda pair: (-pair[0], pair[1]),
    )[: matching.most]
    if not near:
        best = max(similarity.values(), default=0.0)
        return (SkillWeight(GENERAL, 1.0, best),)
    scores = np.array([s for s, _ in near]) / matching.temperature
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    kept = shares >= min(matching.least, float(shares.max()))
    total = float(shares[kept].sum())
    return tuple(
        SkillWeight(name, float(share) / total, float(s))
        for (s, name), share, keep in zip(near, shares, kept, strict=True)
        if keep
    )


class EmbeddingInference:
    """Compares a question to each skill's description and examples by cosine.

    A skill is as near as the mean of its ``nearest`` closest texts, so that one lucky example does
    not decide.  Results are cached by question text, most recent ``cache_size``.
    """

    def __init__(
        self,
        taxonomy: Sequence[Skill],
        encoder: Encoder,
        *,
        matching: Matching | None = None,
        nearest: int = 2,
        cache_size: int = 4096,
    ) -> None:
        self.taxonomy = by_name(taxonomy)
        self.matching = matching or Matching()
        self._encoder = encoder
        self._nearest = nearest
        self._cache: OrderedDict[str, Inferred] = OrderedDict()
        self._cache_size = cache_size
        self._texts: NDArray[np.float32] | None = None
        self._lock = asyncio.Lock()

    async def infer(self, question: Question) -> Inferred:
        text = question.text
        if text in self._cache:
            self._cache.move_to_end(text)
            return self._cache[text]
        async with self._lock:  # one encoding at a time: the encoder is not thread-safe
            [found] = await asyncio.to_thread(self.infer_all, [text])
        self._cache[text] = found
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return found

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of ``texts``, (texts, d), off the event loop."""
        async with self._lock:
            return await asyncio.to_thread(self._encoder.encode, texts)

    def infer_all(self, texts: Sequence[str]) -> list[Inferred]:
        """Every text's skills and vector, in one batch.  Blocks."""
        vectors = self._encoder.encode(texts)
        similarities = self._similarities(vectors)
        return [
            Inferred(weigh(similarity, self.matching), vector)
            for similarity, vector in zip(similarities, vectors, strict=True)
        ]

    def similarity(self, text: str) -> dict[str, float]:
        """The cosine of ``text`` to every skill of the taxonomy.  Blocks."""
        return self._similarities(self._encoder.encode([text]))[0]

    def _similarities(self, vectors: NDArray[np.float32]) -> list[dict[str, float]]:
        if self._texts is None:
            texts = [t for s in self.taxonomy.values() for t in (s.description, *s.examples)]
            self._texts = self._encoder.encode(texts)
        cosines = vectors @ self._texts.T
        columns: dict[str, NDArray[np.float32]] = {}
        start = 0
        for skill in self.taxonomy.values():
            stop = start + 1 + len(skill.examples)
            columns[skill.name] = np.sort(cosines[:, start:stop])[:, -self._nearest :].mean(axis=1)
            start = stop
        return [
            {name: float(column[row]) for name, column in columns.items()}
            for row in range(len(vectors))
        ]


KEYWORD_PROMPT = (
    "Name the two to five core skills, subjects or kinds of knowledge needed to answer the "
    "question below. Reply with the names alone, separated by commas.\n\n"
    "Question: {question}\n\nSkills:"
)


def parse_keywords(reply: str, *, longest: int = 40) -> tuple[str, ...]:
    """Keywords of one reply: split on commas and lines, lower-cased, bare, without repetition."""
    parts = (re.sub(r"^[\s\d.)*-]+|[\s.]+$", "", p).lower() for p in re.split(r"[,\n;]", reply))
    return tuple(dict.fromkeys(p for p in parts if 0 < len(p) <= longest))


def stable_keywords(samples: Sequence[Sequence[str]], *, least: int = 2) -> dict[str, float]:
    """Keywords in at least ``least`` samples, with the share of samples that named them.

    Symbolic-MoE, section 3.1: what recurs over repeated samples is kept, so that one wild sample
    does not name a skill.
    """
    counts = Counter(word for sample in samples for word in dict.fromkeys(sample))
    return {w: c / len(samples) for w, c in sorted(counts.items()) if c >= min(least, len(samples))}


class KeywordInference:
    """Asks an LLM for the skills by name, several times, and maps the names to the taxonomy.

    ``engine`` gives the LLM's engine at each question, so that it may come and go.  A keyword
    counts for the skill nearest by embedding, if its cosine reaches the floor; where nothing stable
    comes back, the question itself is compared.  Source: Symbolic-MoE, section 3.1.
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        matcher: EmbeddingInference,
        *,
        samples: int = 5,
        temperature: float = 0.7,
        seed: int = 0,
    ) -> None:
        self._engine = engine
        self._matcher = matcher
        self._samples = samples
        self._temperature = temperature
        self._seed = seed

    async def infer(self, question: Question) -> Inferred:
        words = stable_keywords(await self._ask(question))
        by_meaning = await self._matcher.infer(question)
        if not words:
            return by_meaning
        similarity = await asyncio.to_thread(self._match, words)
        return Inferred(weigh(similarity, self._matcher.matching), by_meaning.vector)

    async def _ask(self, question: Question) -> list[tuple[str, ...]]:
        prompt = Question.of(KEYWORD_PROMPT.format(question=question.text))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._sample(prompt, i)) for i in range(self._samples)]
        return [task.result() for task in tasks]

    async def _sample(self, prompt: Question, i: int) -> tuple[str, ...]:
        sampling = Sampling(temperature=self._temperature, max_tokens=48, seed=self._seed + i)
        try:
            return parse_keywords((await self._engine().complete(prompt, sampling)).text)
        except EngineError as error:  # a sample short: the others still vote
            log.warning("skill keywords: sample %d is missing: %s", i, error)
            return ()

    def _match(self, words: Mapping[str, float]) -> dict[str, float]:
        found: dict[str, float] = {}
        for word, share in words.items():
            near = self._matcher.similarity(word)
            skill = max(near, key=lambda name: (near[name], name))
            found[skill] = max(found.get(skill, 0.0), share * near[skill])
        return found
