"""What only a GPU shows, as the imitation has it: lost weights, stale caches, death."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.imitation.answers import answer_tokens, prompt_tokens
from tests.imitation.app import Served
from tests.imitation.core import Core, Pace
from tests.imitation.start import Running

TURN = {"role": "user", "content": "word " * 40 + "(A) or (B)?"}
SOUND = "".join(answer_tokens("m", [TURN]))


class Asked:
    """A server of the imitation, and what to ask it."""

    def __init__(self, pace: Pace | None = None) -> None:
        self.core = Core(pace or Pace())
        self.server = Running(Served(self.core, "m", "org/m", dev_mode=True))
        self.client = httpx.AsyncClient(timeout=10, trust_env=False)

    async def __aenter__(self) -> Asked:
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.server.stop()

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.client.post(self.server.url + path, json=body)

    async def chat(self, content: str = TURN["content"], **fields: Any) -> httpx.Response:
        body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
        return await self.post("/v1/chat/completions", body)

    async def says(self, content: str = TURN["content"]) -> str:
        answer = (await self.chat(content)).json()
        return str(answer["choices"][0]["message"]["content"])


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    async with Asked() as running:
        yield running


async def test_it_says_what_can_be_foretold(asked: Asked) -> None:
    assert await asked.says() == SOUND
    assert SOUND.endswith(("(A).", "(B)."))


async def test_level_1_keeps_the_weights(asked: Asked) -> None:
    await asked.post("/sleep?level=1")
    await asked.post("/wake_up")
    assert await asked.says() == SOUND


async def test_level_2_talks_gibberish_until_weights_are_reloaded(asked: Asked) -> None:
    await asked.post("/sleep?level=2")
    await asked.post("/wake_up")
    assert await asked.says() != SOUND
    await asked.post("/collective_rpc", {"method": "reload_weights"})
    # What was computed without the weights is cached still: another prompt is well, this is not.
    assert await asked.says("short, (A) or (B)?") == "".join(
        answer_tokens("m", [{"role": "user", "content": "short, (A) or (B)?"}])
    )
    assert await asked.says() != SOUND
    await asked.post("/reset_prefix_cache")
    assert await asked.says() == SOUND


async def test_a_second_sleep_changes_nothing_but_the_metric(asked: Asked) -> None:
    await asked.post("/sleep?level=1")
    await asked.post("/sleep?level=2")
    metrics = (await asked.client.get(asked.server.url + "/metrics")).text
    assert 'sleep_state="discard_all"} 1.0' in metrics
    await asked.post("/wake_up")
    assert await asked.says() == SOUND


async def test_reloading_what_is_not_in_memory_kills_it(asked: Asked) -> None:
    await asked.post("/sleep?level=2")
    answer = await asked.post("/collective_rpc", {"method": "reload_weights"})
    assert answer.status_code == 500
    assert "EngineCore encountered an issue" in answer.json()["error"]["message"]
    assert (await asked.client.get(asked.server.url + "/health")).status_code == 503
    assert (await asked.chat()).status_code == 500


async def test_a_request_while_asleep_waits_for_the_wake(asked: Asked) -> None:
    await asked.post("/sleep?level=1")
    waiting = asyncio.create_task(asked.says())
    while not asked.core.waiting:
        await asyncio.sleep(0.002)
    await asked.post("/wake_up")
    assert await waiting == SOUND


async def test_without_dev_mode_there_is_no_sleep() -> None:
    async with Asked() as asked:
        plain = Running(Served(Core(Pace()), "m", "org/m"))
        await plain.start()
        for path in ("/sleep", "/wake_up", "/collective_rpc", "/v1/load_lora_adapter"):
            answer = await asked.client.post(plain.url + path)
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
        await plain.stop()


@pytest.mark.parametrize("stream", [False, True])
async def test_death_in_mid_answer_is_told(asked: Asked, stream: bool) -> None:
    await asked.post("/imitation", {"dies_on": "poison"})
    answer = await asked.chat("some poison", stream=stream)
    assert "EngineCore encountered an issue" in answer.text
    assert answer.status_code == (200 if stream else 500)


async def test_batching_pays_and_seats_are_kept() -> None:
    async with Asked(Pace(step_s=0.002, seats=4)) as asked:
        peak = 0
        answers = [asyncio.create_task(asked.says(f"{i}, (A) or (B)?")) for i in range(12)]
        while not all(answer.done() for answer in answers):
            peak = max(peak, len(asked.core.running))
            await asyncio.sleep(0.001)
        assert peak == 4
        assert asked.core.seen.finished == 12


async def test_a_full_cache_makes_the_last_give_way() -> None:
    prompt = len(prompt_tokens([TURN]))
    async with Asked(Pace(step_s=0.001, kv_tokens=2 * prompt + 12)) as asked:
        turns = [TURN["content"] + str(i) for i in range(3)]
        said = await asyncio.gather(*(asked.says(turn) for turn in turns))
        assert list(said) == [
            "".join(answer_tokens("m", [{"role": "user", "content": turn}])) for turn in turns
        ]
        assert asked.core.seen.preemptions
