"""An expert behind any OpenAI-compatible server, vLLM's own included.

Sends, retries, and closes what it opened.  The protocol is in ``wire``, what went wrong in
``failures``, when to try again in ``retry``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar

from coterie.errors import EngineError, EngineProtocolError
from coterie.ports import Clock
from coterie.types import JSON, Chunk, Completion, Health, Question, Sampling
from orchestrator.engines import embedding, wire
from orchestrator.engines.embedding import Embedded
from orchestrator.engines.failures import (
    TRANSPORT_ERRORS,
    from_exception,
    from_status,
    says_no_such_model,
)
from orchestrator.engines.http import MOST_BYTES, Answer, AnswerTooLarge, Client, Whole
from orchestrator.engines.retry import ReadTimeout, RetryPolicy, with_retries
from orchestrator.engines.sse import SSEDecoder
from orchestrator.engines.target import Target
from orchestrator.observability.tracing import outgoing

T = TypeVar("T")

_NO_SUCH_ADDRESS = frozenset({404, 405, 501})
_HEALTH_TIMEOUT_S = 2.0
_DRAIN_S = 0.1


class OpenAIEngine:
    """The Engine port over HTTP.  ``client`` is shared and stays its owner's to close.

    A failed call is made again as ``retry`` says; a stream only before its first chunk.
    """

    def __init__(
        self,
        target: Target,
        client: Client,
        *,
        clock: Clock,
        rng: random.Random,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._target = target
        self._client = client
        self._clock = clock
        self._rng = rng
        self._retry = retry or RetryPolicy()
        self._tokenizes = True
        self._has_health = True

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        """The whole answer; its latency includes every retry."""
        body = wire.chat_body(self._target, question, sampling, stream=False)
        started_s = self._clock.monotonic()
        answer = await self._retrying(lambda: self._exchange("/v1/chat/completions", body))
        latency_s = self._clock.monotonic() - started_s
        return wire.read_completion(self._target, answer, latency_s=latency_s)

    async def stream(self, question: Question, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
        """The answer as it is written.  Close the generator to stop the work behind it."""
        body = wire.chat_body(self._target, question, sampling, stream=True)
        answer = await self._retrying(lambda: self._open(body))
        try:
            yield answer.first
            async for chunk in answer.rest:
                yield chunk
        finally:
            await answer.aclose()

    async def embed(self, texts: Sequence[str], fields: Mapping[str, JSON]) -> Embedded:
        """Vectors of ``texts``, in their order; ``fields`` go along with them."""
        body = embedding.body(self._target, texts, fields)
        answer = await self._retrying(lambda: self._exchange("/v1/embeddings", body))
        return embedding.read(self._target, answer, len(texts))

    async def count_tokens(self, question: Question) -> int:
        """What the server's tokenizer says; :func:`wire.estimate_tokens` where it has none."""
        body = wire.tokenize_body(self._target, question)
        if self._tokenizes:
            counted = await self._retrying(lambda: self._tokenize(body))
            self._tokenizes = counted is not None
            if counted is not None:
                return counted
        return wire.estimate_tokens(question)

    async def health(self) -> Health:
        """Whether the server answers within two seconds; never raises for one that does not."""
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                error = await self._check_health()
        except TimeoutError:
            detail = f"{self._target.server} gave no sign of health in {_HEALTH_TIMEOUT_S:g} s"
            return Health(False, detail)
        return Health(True) if error is None else Health(False, str(error))

    async def metrics(self) -> str:
        """What the server's ``/metrics`` says, within two seconds.

        Raises:
            ValueError: it has none.
            EngineError: it does not answer.
        """
        async with asyncio.timeout(_HEALTH_TIMEOUT_S):
            response = await self._send("GET", "/metrics")
        if response.status != HTTPStatus.OK:
            raise ValueError(f"status {response.status}")
        return response.text

    async def has_model(self) -> Health:
        """Whether the server lists the model; one that lists none is believed."""
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                response = await self._send("GET", "/v1/models")
            listed = [str(m["id"]) for m in json.loads(response.body)["data"]]
        except (EngineError, TimeoutError, ValueError, KeyError, TypeError):
            return Health(True)
        if not response.ok or not listed or self._target.model in listed:
            return Health(True)
        shown = ", ".join(map(repr, listed[:8]))
        return Health(False, f"its server has no model {self._target.model!r}, but {shown}")

    async def _check_health(self) -> EngineError | None:
        path = "/health" if self._has_health else "/v1/models"
        try:
            response = await self._send("GET", path)
        except EngineError as error:
            return error
        if response.ok:
            return None
        if self._has_health and 400 <= response.status < 500:
            self._has_health = False
            return await self._check_health()
        return self._error_of(response)

    async def _tokenize(self, body: bytes) -> int | None:
        """The server's count; None where it has no tokenizer to offer."""
        response = await self._send("POST", "/tokenize", body)
        if response.ok:
            return wire.read_token_count(self._target, response.body)
        missing = response.status in _NO_SUCH_ADDRESS
        if missing and not says_no_such_model(response.body):
            return None
        raise self._error_of(response)

    async def _exchange(self, path: str, body: bytes) -> bytes:
        response = await self._send("POST", path, body)
        if not response.ok:
            raise self._error_of(response)
        return response.body

    async def _send(self, method: str, path: str, body: bytes | None = None) -> Whole:
        try:
            return await (await self._begin(method, path, body)).whole()
        except TRANSPORT_ERRORS as error:
            raise from_exception(self._target, error) from error

    async def _begin(self, method: str, path: str, body: bytes | None) -> Answer:
        target = self._target
        try:
            headers = {**target.headers, **outgoing()}
            return await self._client.send_now(method, target.url(path), headers, body)
        except TRANSPORT_ERRORS as error:
            raise from_exception(target, error) from error

    async def _open(self, body: bytes) -> _Stream:
        """An answer under way, up to its first chunk."""
        answer = _Stream(
            self._target,
            await self._begin("POST", "/v1/chat/completions", body),
            self._clock,
            self._client.timeout.read or math.inf,
        )
        try:
            if not answer.response.ok:
                raise self._error_of(await answer.response.whole())
            await answer.begin()
        except TRANSPORT_ERRORS as error:
            await answer.aclose()
            raise from_exception(self._target, error) from error
        except BaseException:
            await answer.aclose()
            raise
        return answer

    def _error_of(self, response: Whole) -> EngineError:
        return from_status(
            self._target,
            response.status,
            response.body,
            response.headers,
            now_s=self._clock.time(),
        )

    async def _retrying(self, attempt: Callable[[], Awaitable[T]]) -> T:
        return await with_retries(
            attempt,
            expert=self._target.expert,
            policy=self._retry,
            clock=self._clock,
            rng=self._rng,
        )


class _Stream:
    """One streamed answer and the connection it comes over, which it owns."""

    first: Chunk

    def __init__(self, target: Target, response: Answer, clock: Clock, silence_s: float) -> None:
        self.response = response
        self._target = target
        self._clock = clock
        self._silence_s = silence_s
        self._heard_s = clock.monotonic()
        self.rest = self._chunks()

    async def begin(self) -> None:
        """Waits for the first chunk: up to here the call may be made again."""
        self.first = await anext(self.rest)

    async def aclose(self) -> None:
        """Hangs up; the server stops writing an answer that nobody reads."""
        await self.rest.aclose()
        with contextlib.suppress(*TRANSPORT_ERRORS):
            await self.response.aclose()

    async def _chunks(self) -> AsyncGenerator[Chunk, None]:
        reader = wire.ChunkReader(self._target)
        try:
            async with contextlib.aclosing(self._events()) as events:
                async for data in events:
                    if data.strip() == "[DONE]":
                        yield reader.last()
                        await self._drain(events)
                        return
                    for chunk in reader.read(data):
                        yield chunk
                        self._heard_s = self._clock.monotonic()  # or when it was read on
            yield reader.last()
        except EngineError as error:
            error.usage = reader.usage  # what was written until then is paid for all the same
            raise

    async def _drain(self, events: AsyncGenerator[str, None]) -> None:
        """Reads to the end, which should be there already: only then is the connection reused."""
        with contextlib.suppress(TimeoutError, EngineError):
            async with asyncio.timeout(_DRAIN_S):
                async for _ in events:
                    pass

    async def _events(self) -> AsyncGenerator[str, None]:
        decoder, size = SSEDecoder(), 0
        try:
            async for piece in self.response.pieces():
                size += len(piece)
                self._check(size)
                for data in decoder.feed(piece):
                    yield data
        except TRANSPORT_ERRORS as error:
            raise from_exception(self._target, error) from error
        except ValueError as error:
            raise EngineProtocolError(
                self._target.expert, f"{self._target.server} sent an unreadable stream: {error}"
            ) from error
        for data in decoder.close():
            yield data

    def _check(self, size: int) -> None:
        """Gives up on a stream without end, and on one that keeps talking and says nothing."""
        if size > MOST_BYTES:
            raise AnswerTooLarge
        if self._clock.monotonic() - self._heard_s > self._silence_s:
            raise ReadTimeout(
                self._target.expert,
                f"{self._target.server} has sent nothing of its answer for {self._silence_s:g} s",
            )
