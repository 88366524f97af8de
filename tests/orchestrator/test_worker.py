"""Workers, in virtual time, with engines of make-believe."""

from __future__ import annotations

import asyncio

import pytest

from coterie.errors import EngineRejected, EngineTimeout
from orchestrator.scheduling.pressure import Pressure
from orchestrator.scheduling.work import WorkerState
from orchestrator.worker import WorkerSettings
from tests.orchestrator.virtual_time import run
from tests.orchestrator.worker_world import Death, Scene, units_of


def test_a_worker_answers_everything_with_one_load_an_expert() -> None:
    async def story() -> None:
        scene = Scene([*units_of("a", 50), *units_of("b", 40), *units_of("c", 10)])
        worker, node = scene.worker()
        scene.start(worker)
        await scene.until_settled()
        assert node.loads == {"a": 1, "b": 1, "c": 1}
        assert set(scene.store.kept) == set(scene.store.units)
        assert set(scene.paid().values()) == {1}
        assert scene.store.kept["b/7"].text == "b: 7"
        assert node.stopped_busy == []
        assert await scene.queue.depths() == {}
        await scene.end()

    run(story())
