"""Which skills a question needs: by sentence embeddings, or by an LLM's keywords.

Both say how sure they are, and fall back in the open: what resembles no skill is
``general-knowledge`` with the similarity that was found.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

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
T = TypeVar("T")


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
        self._instant = getattr(encoder, "instant", False)
        self._nearest = nearest
        self._cache: OrderedDict[str, Inferred] = OrderedDict()
        self._cache_size = cache_size
        self._columns = _columns(self.taxonomy.values())
        self._texts: NDArray[np.float32] | None = None
        self._lock = asyncio.Lock()

    async def infer(self, question: Question) -> Inferred:
        text = question.text
        if text in self._cache:
            self._cache.move_to_end(text)
            return self._cache[text]
        [found] = await self._encoding(self.infer_all, [text])
        self._cache[text] = found
        if len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return found

    async def infer_many(self, questions: Sequence[Question]) -> list[Inferred]:
        """What :meth:`infer` says of each, in one batch that leaves the cache alone."""
        return await self._encoding(self.infer_all, [q.text for q in questions])

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of ``texts``, (texts, d), off the event loop."""
        return await self._encoding(self._encoder.encode, texts)

    async def _encoding(self, work: Callable[[Sequence[str]], T], texts: Sequence[str]) -> T:
        """``work`` on ``texts``, off the event loop unless that takes longer than the work."""
        if self._instant and self._texts is not None and len(texts) == 1:
            return work(texts)
        async with self._lock:  # one encoding at a time: an encoder need not be thread-safe
            return await asyncio.to_thread(work, texts)

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
        return await self._encoding(self.cosines, texts)

    def cosines(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """The same.  Blocks, and not while another thread encodes."""
        return self._similarities(self._encoder.encode(texts)) if texts else []

    def _similarities(self, vectors: NDArray[np.float32]) -> list[dict[str, float]]:
        if self._texts is None:
            self._texts = self._encoder.encode([t for s in self.taxonomy.values() for t in _of(s)])
        # Columns are texts; one more, far from everything, fills up skills that have fewer.
        cosines = np.pad(vectors @ self._texts.T, ((0, 0), (0, 1)), constant_values=-np.inf)
        near = np.sort(cosines[:, self._columns], axis=2)[:, :, -self._nearest :]
        there = np.isfinite(near)
        means = np.where(there, near, 0).sum(axis=2) / there.sum(axis=2)
        return [dict(zip(self.taxonomy, row, strict=True)) for row in means.tolist()]


def _of(skill: Skill) -> tuple[str, ...]:
    """The texts a question is compared to."""
    return (skill.description, *skill.examples)


def _columns(skills: Iterable[Skill]) -> NDArray[np.intp]:
    """Which texts are each skill's, (skills, the most that one has); the rest is one past the
    end."""
    sizes = [len(_of(skill)) for skill in skills]
    starts = np.cumsum([0, *sizes])
    found = np.full((len(sizes), max(sizes, default=1)), starts[-1])
    for row, (start, size) in enumerate(zip(starts, sizes, strict=False)):
        found[row, :size] = np.arange(start, start + size)
    return found


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
