"""One expert over all of its servers: the Engine port, whoever answers behind it.

    call ──> admission (a bounded queue) ──> choice of a replica ──> its breaker ──> its server
                                                  ^                                      │
                                                  └── another one, if it fails at once ──┘

A call that fails at one replica goes to the next without a pause; when all have failed, it is made
again as ``retry`` says.  A stream only before its first chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from coterie.errors import CircuitOpen, EngineError, EngineUnavailable
from coterie.ports import Clock
from coterie.types import JSON, Chunk, Completion, Health, Question, Sampling
from orchestrator.engines.admission import Admission
from orchestrator.engines.balance import choose, prefix_of
from orchestrator.engines.embedding import Embedded
from orchestrator.engines.replica import Replica, is_its_fault
from orchestrator.engines.retry import RetryPolicy, with_retries

T = TypeVar("T")


class BalancedEngine:
    """The Engine port over ``replicas``, of which there is at least one; they make no retries."""

    def __init__(
        self,
        expert: str,
        replicas: Sequence[Replica],
        admission: Admission,
        *,
        clock: Clock,
        rng: random.Random,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.replicas = tuple(replicas)
        self.admission = admission
        self._expert = expert
        self._clock = clock
        self._rng = rng
        self._retry = retry or RetryPolicy()

    def refusal(self) -> EngineUnavailable | None:
        """Why a call would be sent away if it came now; None: it would not."""
        if not any(replica.admits for replica in self.replicas):
            return self._circuit_open()
        return self.admission.busy() if self.admission.is_full else None

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        """The whole answer; its latency includes waiting and retries."""
        began_s = self._clock.monotonic()

        async def asked(replica: Replica) -> Completion:
            with replica.calling():
                return await replica.engine.complete(question, sampling)

        async with self.admission.entered():
            found = await self._retrying(question, asked)
        return replace(found, latency_s=self._clock.monotonic() - began_s)

    async def stream(self, question: Question, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
        """The answer as it is written.  Close the generator to stop the work behind it."""

        async def opened(replica: Replica) -> _Stream:
            return await _Stream.of(replica, question, sampling)

        async with self.admission.entered():
            stream = await self._retrying(question, opened)
            async with contextlib.aclosing(stream.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def count_tokens(self, question: Question) -> int:
        """What the tokenizer of a replica says: they serve the same model."""

        async def counted(replica: Replica) -> int:
            # The breaker does not hear of it: a server may count well and answer nothing.
            return await replica.engine.count_tokens(question)

        return await self._retrying(question, counted)

    async def embed(self, texts: Sequence[str], fields: Mapping[str, JSON]) -> Embedded:
        """Vectors of ``texts``; of an embedding model alone."""

        async def embedded(replica: Replica) -> Embedded:
            with replica.calling():
                return await replica.engine.embed(texts, fields)

        async with self.admission.entered():
            return await self._retrying(None, embedded)

    async def health(self) -> Health:
        """Whether a replica answers, whatever its breaker; those that do not are told of."""
        found = await asyncio.gather(*(replica.engine.health() for replica in self.replicas))
        for replica, health in zip(self.replicas, found, strict=True):
            replica.looked_at(health.ok)
        ill = [health.detail for health in found if not health.ok]
        told = (
            f"{len(ill)} of {len(found)} replicas: {'; '.join(ill)}" if found[1:] else "".join(ill)
        )
        return Health(len(ill) < len(found), told if ill else "")

    async def _retrying(
        self, question: Question | None, ask: Callable[[Replica], Awaitable[T]]
    ) -> T:
        prefix = prefix_of(question) if question and self.replicas[1:] else b""
        return await with_retries(
            lambda: self._somewhere(prefix, ask),
            expert=self._expert,
            policy=self._retry,
            clock=self._clock,
            rng=self._rng,
        )

    async def _somewhere(self, prefix: bytes, ask: Callable[[Replica], Awaitable[T]]) -> T:
        """The answer of the replica with the least to do, or of the next that does not fail."""
        left = list(self.replicas)
        failure: EngineError | None = None
        while left := [replica for replica in left if replica.admits]:
            replica = left.pop(choose([r.standing for r in left], prefix) if left[1:] else 0)
            try:
                return await ask(replica)
            except EngineError as error:
                failure = error
                if not is_its_fault(error):
                    raise
        raise failure or self._circuit_open()

    def _circuit_open(self) -> CircuitOpen:
        next_ = min(self.replicas, key=lambda replica: replica.wait_s)
        wait_s = next_.wait_s
        many = f"all of its {len(self.replicas)} servers" if self.replicas[1:] else "its server"
        return CircuitOpen(
            self._expert,
            f"{many} failed too often just now, and nobody is sent there for {wait_s:.1f} s; "
            f"try again then, or ask another expert (the last failure: {next_.trouble})",
            retry_after_s=wait_s,
        )


class _Stream:
    """A streamed answer that has begun, and the call that it is."""

    def __init__(
        self, call: contextlib.ExitStack, first: Chunk, rest: AsyncGenerator[Chunk, None]
    ) -> None:
        self._call = call
        self._first = first
        self._rest = rest

    @classmethod
    async def of(cls, replica: Replica, question: Question, sampling: Sampling) -> _Stream:
        """Waits for the first chunk: up to here the call may be made again."""
        with contextlib.ExitStack() as call:
            call.enter_context(replica.calling())
            rest = replica.engine.stream(question, sampling)
            try:
                first = await anext(rest)
            except BaseException:
                await rest.aclose()
                raise
            return cls(call.pop_all(), first, rest)

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """The chunks; the call ends with them, or when nobody reads on."""
        with self._call:
            async with contextlib.aclosing(self._rest) as rest:
                yield self._first
                async for chunk in rest:
                    yield chunk
