"""A running service that answers batches, quickly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from orchestrator.jobs.runner import Pace

OVER = ("completed", "failed", "cancelled", "expired")
WAIT_S = 30.0


def request(id: str, text: str = "How many?", **fields: Any) -> dict[str, Any]:
    """A line that is right, unless ``fields`` of its body make it wrong."""
    messages = [{"role": "user", "content": text}]
    body = {"model": "coterie/symbolic", "messages": messages, **fields}
    return {"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def jsonl(lines: Sequence[Any]) -> bytes:
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


class Batches:
    """Batches of a running service, through the official client."""

    def __init__(self, service: Any) -> None:
        self.client = service.openai
        self.service = service

    def start(self) -> None:
        """Lets jobs and batches go on."""
        parts = self.service.parts
        parts.jobs._pace = Pace(page=16, poll_s=0.0, most_s=0.01, beat_s=0.02, republish_s=0.05)
        parts.batches._look_s = 0.02
        parts.jobs.start()
        parts.batches.start()

    async def upload(self, lines: Sequence[Any] | bytes, name: str = "in.jsonl") -> str:
        body = lines if isinstance(lines, bytes) else jsonl(lines)
        return str((await self.client.files.create(file=(name, body), purpose="batch")).id)

    async def create(self, lines: Sequence[Any] | bytes, **fields: Any) -> Any:
        return await self.client.batches.create(
            input_file_id=await self.upload(lines),
            endpoint="/v1/chat/completions",
            completion_window="24h",
            **fields,
        )

    async def run(self, lines: Sequence[Any] | bytes, **fields: Any) -> Any:
        """A batch of these lines, once it is over."""
        return await self.over((await self.create(lines, **fields)).id)

    async def over(self, id: str) -> Any:
        return await self.until(id, lambda batch: batch.status in OVER)

    async def until(self, id: str, there: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(WAIT_S):
            while not there(found := await self.client.batches.retrieve(id)):
                await asyncio.sleep(0.01)
        return found

    def hang(self, expert: str, text: str) -> None:
        """The expert never answers what is asked with this text."""
        engine = self.service.fleet.engines[expert]
        complete = engine.complete

        async def hanging(question: Any, sampling: Any) -> Any:
            if text in question.text:
                await asyncio.Event().wait()
            return await complete(question, sampling)

        engine.complete = hanging

    async def until_stored(self, id: str, answers: int) -> None:
        """Returns when so many completions are stored of the batch's."""
        job = id.replace("batch_", "job-")

        async def done() -> int:
            progress = (await self.service.parts.jobs.get(job)).progress
            return sum(e.done for e in progress.experts.values()) if progress else 0

        await self.until(id, lambda batch: batch.status == "in_progress")
        async with asyncio.timeout(WAIT_S):
            while await done() < answers:
                await asyncio.sleep(0.01)

    async def lines(self, file: str | None) -> list[dict[str, Any]]:
        if file is None:
            return []
        text = (await self.client.files.content(file)).text
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
async def batches(service: Any) -> Batches:
    """The service, at work."""
    found = Batches(service)
    found.start()
    return found


@pytest.fixture
def of() -> Callable[[Any], Batches]:
    return Batches


@pytest.fixture
def line() -> Callable[..., dict[str, Any]]:
    return request
