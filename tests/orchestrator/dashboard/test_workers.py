"""The page of workers: what is shown, and over HTTP with the queue of the process."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coterie.clock import SystemClock
from coterie.types import as_jsonable
from orchestrator.api.dashboard.worker_view import WorkerLine, WorkView, alive_s
from orchestrator.scheduling.in_process import InProcessQueue
from orchestrator.scheduling.redis_streams import RedisQueue
from orchestrator.scheduling.told import (
    EngineTold,
    GpuTold,
    MachineTold,
    MoveTold,
    WorkerTold,
)
from orchestrator.scheduling.work import Batch, Depth, WorkerState
from orchestrator.scheduling.workforce import Standing, Workforce
from tests.orchestrator.dashboard.visitor import Visitor, words

HOSTILE = "<script>boom()</script>\"'>"
TOLD = WorkerTold(
    since="2026-01-02T03:04:05+00:00",
    slots=1,
    machine=MachineTold("box", 2**30, 2**32, (GpuTold("H100", 2**34, 2**36),)),
    engines=(
        EngineTold("law", "awake", None, 7, experts=("law", "tax")),
        EngineTold("math", "stopped", "awake"),
        EngineTold("old", "asleep_1"),
    ),
    plan=(MoveTold("law", "asleep_1"), MoveTold("math", "awake")),
)
WORKER = WorkerState("box-1", ("law", "math", "tax"), ("law",), ("law",), told=TOLD)


def test_a_worker_tells_what_it_does_and_what_comes_next() -> None:
    line = WorkerLine.of(WORKER)
    assert line.does == "answers 7 with law, being loaded: math"
    assert [(e.name, e.state) for e in line.engines] == [
        ("law", "loaded"),
        ("math", "being loaded"),
        ("old", "asleep, weights in memory"),
    ]
    assert line.engines[0].others == ("tax",)
    assert line.plan == ["put to sleep, weights kept in memory law", "load math"]
    assert line.room == "room for 1 engine at a time"


def test_queues_say_whom_nobody_serves() -> None:
    depths = {"law": Depth(1, 2), "art": Depth(9, 0), "tax": Depth(0, 1)}
    view = WorkView.of(Standing([WORKER], depths, {"law": "box-1"}))
    assert [(q.expert, q.waiting) for q in view.queues] == [("art", 9), ("law", 1), ("tax", 0)]
    assert ["no worker can" in q.why for q in view.queues] == [True, False, False]
    assert (view.waiting, view.claimed) == (10, 3)


def test_how_long_a_worker_is_alive() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert WorkerLine.of(WORKER).since == at
    assert alive_s(at, at + timedelta(seconds=9)) == 9
    assert alive_s(WorkerLine.of(WorkerState("w")).since, at) is None


def test_what_a_worker_of_another_version_told_is_read_as_far_as_it_is_known() -> None:
    kept = json.loads(json.dumps(as_jsonable(TOLD)))
    assert WorkerTold.of(kept) == TOLD
    newer = {**kept, "mood": 1, "engines": [{**kept["engines"][0], "mood": 1}]}
    assert WorkerTold.of(newer).engines == TOLD.engines[:1]
    assert WorkerTold.of({}) == WorkerTold()


async def test_workers_tell_through_a_real_queue(valkey_url: str) -> None:
    shared = RedisQueue.from_url(valkey_url, prefix="told")
    await shared.beat(WORKER)
    await shared.publish([Batch("b", "law", ("k",))])
    standing = await Workforce(InProcessQueue(SystemClock()), shared).look()
    await shared.aclose()
    assert list(standing.workers) == [WORKER]
    assert standing.depths == {"law": Depth(1, 0)}
    assert standing.shared


async def test_a_queue_that_is_away_is_told_of() -> None:
    away = RedisQueue.from_url("redis://127.0.0.1:1/0", retries=0)
    here = InProcessQueue(SystemClock())
    await here.beat(WORKER)
    standing = await Workforce(here, away).look()
    await away.aclose()
    assert "queue" in standing.away
    assert list(standing.workers) == [WORKER]


async def test_the_page_shows_the_servers_own_worker(service: Any) -> None:
    visitor = await Visitor.enter(service)
    assert "No worker yet." in await visitor.see("/workers")
    service.parts.jobs.start()
    for _ in range(200):
        if (await service.parts.workforce.look()).workers:
            break
        await asyncio.sleep(0.01)
    page = words(await visitor.see("/workers"))
    assert "embedded-" in page
    assert "room for all its engines" in page
    assert "good loaded" in page
    piece = await visitor.see("/workers/now")
    assert "<html" not in piece
    assert 'hx-trigger="every 3s"' in piece


async def test_names_of_workers_and_engines_are_text(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look() -> Standing:
        engines = (EngineTold(HOSTILE, HOSTILE, HOSTILE, 1, experts=(HOSTILE,)),)
        machine = MachineTold(HOSTILE, 1.0, 2.0, (GpuTold(HOSTILE, 1.0, 2.0),))
        told = WorkerTold(HOSTILE, 1, machine, engines, (MoveTold(HOSTILE, HOSTILE),))
        worker = WorkerState(HOSTILE, (HOSTILE,), told=told)
        return Standing([worker], {HOSTILE: Depth(1, 1)}, {HOSTILE: HOSTILE}, True, HOSTILE)

    monkeypatch.setattr(service.parts.workforce, "look", look)
    page = await (await Visitor.enter(service)).see("/workers")
    assert "<script>boom" not in page
    assert "boom()" in page
