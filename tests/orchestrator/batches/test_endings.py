"""Batches that do not end well, and those that are interrupted on the way."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coterie.db import utcnow
from coterie.errors import StoreUnavailable
from orchestrator.batches.batch import WINDOW_LENGTH


async def test_a_batch_expires_with_what_was_answered(service: Any, of: Any, line: Any) -> None:
    batches, parts = of(service), service.parts
    batches.hang("good", "slow")
    batches.start()
    made = await batches.create([line(name, name, model="good") for name in ("quick", "slow")])
    await batches.until_stored(made.id, 1)
    late = utcnow() + WINDOW_LENGTH
    parts.batches._clerk = replace(parts.batches._clerk, now=lambda: late)
    batch = await batches.over(made.id)
    assert batch.status == "expired"
    assert batch.expired_at >= batch.finalizing_at >= batch.expires_at
    assert [f["custom_id"] for f in await batches.lines(batch.output_file_id)] == ["quick"]
    [left] = await batches.lines(batch.error_file_id)
    assert (left["custom_id"], left["error"]["code"]) == ("slow", "batch_expired")


async def test_a_batch_expires_that_nobody_looked_at(service: Any, of: Any, line: Any) -> None:
    batches, parts = of(service), service.parts
    made = await batches.create([line("1")])
    late = utcnow() + WINDOW_LENGTH + timedelta(hours=1)
    parts.batches._clerk = replace(parts.batches._clerk, now=lambda: late)
    batches.start()
    batch = await batches.over(made.id)
    assert (batch.status, batch.output_file_id) == ("expired", None)


async def test_a_batch_whose_job_fails_says_why(service: Any, of: Any, line: Any) -> None:
    batches = of(service)
    made = await batches.create([line("1")])
    await service.parts.batches._clerk.round()
    registry = service.parts.registry
    await registry._store.replace(replace(await registry.get("bad"), model="another"))
    await settle(service, made.id.replace("batch_", "job-"))
    await service.parts.refresh()
    batches.start()
    batch = await batches.over(made.id)
    assert batch.status == "failed"
    assert batch.errors.data[0].code == "job_failed"
    assert "'bad' has changed since the job began" in batch.errors.data[0].message
    [left] = await batches.lines(batch.error_file_id)
    assert left["error"]["code"] == "batch_failed"


async def test_a_batch_goes_on_without_an_expert_that_is_disabled(
    service: Any, of: Any, line: Any
) -> None:
    batches = of(service)
    made = await batches.create([line("1", model="bad"), line("2")])
    await service.parts.batches._clerk.round()
    await settle(service, made.id.replace("batch_", "job-"))
    await service.parts.registry.disable("bad")
    await service.parts.refresh()
    batches.start()
    batch = await batches.over(made.id)
    assert batch.status == "completed"
    assert [f["custom_id"] for f in await batches.lines(batch.output_file_id)] == ["2"]
    [left] = await batches.lines(batch.error_file_id)
    assert (left["custom_id"], left["response"]["status_code"]) == ("1", 503)
    assert "it was disabled since the job began" in left["response"]["body"]["error"]["message"]


async def test_an_expert_that_goes_before_its_turn_is_told(
    service: Any, of: Any, line: Any
) -> None:
    batches = of(service)
    made = await batches.create([line("1", model="bad"), line("2")])
    await service.parts.batches._clerk.round()
    await service.parts.registry.disable("bad")
    await service.parts.refresh()
    batches.start()
    batch = await batches.over(made.id)
    assert batch.status == "failed"
    assert "expert 'bad', which '1' asks for, was disabled" in batch.errors.data[0].message
    assert len(await batches.lines(batch.error_file_id)) == 2


async def settle(service: Any, job: str) -> None:
    """As if the job had begun: with the experts there are now."""
    from orchestrator.jobs.terms import fix

    ground = service.parts.jobs._ground
    spec = (await ground.jobs.get(job)).spec
    knowledge = await ground.knowledge(None)
    await ground.jobs.settle(job, fix(spec, ground.known(), knowledge, ground.policy))


async def test_an_error_of_ours_ends_a_batch(
    service: Any, of: Any, line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.batches import assembly

    def broken(*args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(assembly, "answered", broken)
    batches = of(service)
    batches.start()
    batch = await batches.run([line("1")])
    assert (batch.status, batch.errors.data[0].code) == ("failed", "internal_error")
    assert [f.purpose async for f in service.openai.files.list()] == ["batch"]


@pytest.mark.parametrize("seed", range(3))
async def test_an_interrupted_clerk_begins_again_and_nothing_is_paid_twice(
    service: Any, of: Any, line: Any, seed: int
) -> None:
    """Interrupted anywhere, by outages and by being stopped, as often as you like."""
    batches, rng = of(service), random.Random(seed)
    clerk = service.parts.batches._clerk
    flaky = replace(
        clerk, batches=Flaky(clerk.batches, rng), files=Flaky(clerk.files, rng), owner="me"
    )
    lines = [line(f"n{i}", f"How many is {i}?", model=("good", "bad")[i % 2]) for i in range(40)]
    made = await batches.create([*lines[:20], *lines[20:]])
    service.parts.jobs._pace = None
    service.parts.jobs.start()
    cut = 0
    for _ in range(400):
        task = asyncio.create_task(flaky.round())
        if cut <= 2 or rng.random() < 0.5:
            # At first soon, or a quick machine would be done before it was interrupted much.
            await asyncio.sleep(rng.random() * (0.02 if cut > 2 else 0.004))
            task.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)
        assert ended is None or isinstance(ended, (StoreUnavailable, asyncio.CancelledError))
        cut += ended is not None
        found = await service.openai.batches.retrieve(made.id)
        if found.status == "completed":
            break
        await asyncio.sleep(0.01)
    assert cut > 2
    assert found.request_counts.completed == 40
    output = await batches.lines(found.output_file_id)
    assert [f["custom_id"] for f in output] == [f"n{i}" for i in range(40)]
    asked = [q.text for e in service.fleet.engines.values() for q in e.asked]
    assert sorted(asked) == sorted(set(asked))
    assert len(asked) == 40
    whole = [f.purpose async for f in service.openai.files.list()]
    assert sorted(whole) == ["batch", "batch_output"]


class Flaky:
    """Passes calls on to ``real``; some raise instead, before or after they were done."""

    def __init__(self, real: Any, rng: random.Random, share: float = 0.1) -> None:
        self._real, self._rng, self._share = real, rng, share

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            drawn = self._rng.random() / self._share
            if drawn < 0.5:
                raise StoreUnavailable("away")
            result = await found(*args, **kwargs)
            if drawn < 1:
                raise StoreUnavailable("away again: it was done all the same")
            return result

        return call


async def test_two_processes_share_the_work(
    kit: Any, tmp_path: Path, database_url: str, of: Any, line: Any
) -> None:
    """One takes the file, either answers, and both tell the same of it."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    async with (
        kit.running(folders[0], database_url, [kit.engine("e")]) as one,
        kit.running(folders[1], database_url, [kit.engine("e")]) as two,
    ):
        first, second = of(one), of(two)
        made = [await first.create([line(f"{i}-{k}") for k in range(5)]) for i in range(4)]
        second.start()
        first.start()
        done = [await (first, second)[i % 2].over(made[i].id) for i in range(4)]
        assert [d.status for d in done] == ["completed"] * 4
        for i, batch in enumerate(done):
            told = [await b.lines(batch.output_file_id) for b in (first, second)]
            assert told[0] == told[1]
            assert [f["custom_id"] for f in told[0]] == [f"{i}-{k}" for k in range(5)]
        asked = [s.fleet.engines["e"].asked for s in (one, two)]
        assert sum(map(len, asked)) == 20
