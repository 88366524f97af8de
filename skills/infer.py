"""Which skills a question needs: by sentence embeddings, or by an LLM's keywords.

Both say how sure they are, and fall back in the open: what resembles no skill is
``general-knowledge`` with the similarity that was found.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coterie.errors import EngineError
from coterie.ports import Engine
from coterie.types import Question, Sampling, Skill, SkillWeight
from skills.encoder import Encoder
from skills.keywords import (
    KEYWORD_PROMPT,
    KeywordCache,
    Procedure,
    RecentKeywords,
    cache_key,
    parse_keywords,
    stable_keywords,
)
from skills.synonyms import Synonyms, bare
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

    async def infer_many(self, questions: Sequence[Question]) -> list[Inferred]:
        """What :meth:`infer` says of each, in one batch that leaves the cache alone."""
        async with self._lock:
            return await asyncio.to_thread(self.infer_all, [q.text for q in questions])

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

    async def similarities(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The cosine of each text to every skill of the taxonomy."""
        async with self._lock:
            return await asyncio.to_thread(self.cosines, texts)

    def cosines(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The same.  Blocks, and not while another thread encodes."""
        return self._similarities(self._encoder.encode(texts)) if texts else []

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


class KeywordInference:
    """Asks an LLM for the skills by name, several times, and maps the names to the taxonomy.

    ``engine`` gives the LLM's engine at each question, so that it may come and go; ``model`` is
    what its keywords are cached under.  A keyword that names a skill, by itself or by one of the
    ``synonyms``, counts for that one; any other counts for the skills nearest by embedding, and
    for ``general-knowledge`` where none reaches the floor.  Where nothing stable comes back, the
    question itself is compared.  Source: Symbolic-MoE, section 3.1, which has no floor.
    """

    def __init__(
        self,
        engine: Callable[[], Engine],
        matcher: EmbeddingInference,
        *,
        model: str = "",
        procedure: Procedure | None = None,
        synonyms: Synonyms | None = None,
        cache: KeywordCache | None = None,
    ) -> None:
        self.synonyms = synonyms or Synonyms()
        self._engine = engine
        self._matcher = matcher
        self._model = model
        self._procedure = procedure or Procedure()
        self._cache = cache or RecentKeywords()
        self._names = {bare(name): name for name in matcher.taxonomy}

    async def infer(self, question: Question) -> Inferred:
        words = await self.keywords(question)
        by_meaning = await self._matcher.infer(question)
        if not words:
            return by_meaning
        return Inferred(await self._map(words), by_meaning.vector)

    async def keywords(self, question: Question) -> Mapping[str, float]:
        """The question's stable keywords, each with the share of samples that named it."""
        prompt = KEYWORD_PROMPT.format(question=question.text)
        key = cache_key(self._model, prompt, self._procedure)
        if (kept := await self._cache.get(key)) is not None:
            return kept
        samples = await self._ask(Question.of(prompt))
        # A missing sample counts as one that named nothing: a lone survivor of five is not stable.
        words = stable_keywords([s or () for s in samples], least=self._procedure.least)
        if None not in samples:
            await self._cache.put(key, words)
        return words

    async def _ask(self, prompt: Question) -> list[tuple[str, ...] | None]:
        async with asyncio.TaskGroup() as group:
            numbers = range(self._procedure.samples)
            tasks = [group.create_task(self._sample(prompt, i)) for i in numbers]
        return [task.result() for task in tasks]

    async def _sample(self, prompt: Question, i: int) -> tuple[str, ...] | None:
        p = self._procedure
        sampling = Sampling(temperature=p.temperature, max_tokens=p.max_tokens, seed=p.seed + i)
        try:
            reply = (await self._engine().complete(prompt, sampling)).text
        except EngineError as error:  # a sample short: the others still vote
            log.warning("skill keywords: sample %d is missing: %s", i, error)
            return None
        return parse_keywords(reply, longest=p.longest)

    async def _map(self, words: Mapping[str, float]) -> tuple[SkillWeight, ...]:
        read = {word: self.synonyms.read(word) for word in words}
        unseen = [word for word in words if bare(read[word].skill) not in self._names]
        similarities = await self._matcher.similarities([read[word].skill for word in unseen])
        near = dict(zip(unseen, similarities, strict=True))
        matched = []
        for word, share in words.items():
            if word in near:
                skills = weigh(near[word], self._matcher.matching)
            else:
                name = self._names[bare(read[word].skill)]
                skills = (SkillWeight(name, 1.0, read[word].similarity),)
            matched.append((share, skills))
        return blend(matched)


def blend(parts: Sequence[tuple[float, Sequence[SkillWeight]]]) -> tuple[SkillWeight, ...]:
    """One mixture of several, each counting by its share; heaviest first.

    A skill's similarity is the best that spoke for it.
    """
    weight: defaultdict[str, float] = defaultdict(float)
    similarity: dict[str, float] = {}
    total = sum(share for share, _ in parts)
    for share, skills in parts:
        for s in skills:
            weight[s.skill] += share * s.weight / total
            similarity[s.skill] = max(similarity.get(s.skill, -1.0), s.similarity)
    return tuple(
        SkillWeight(name, weight[name], similarity[name])
        for name in sorted(weight, key=lambda name: (-weight[name], name))
    )
