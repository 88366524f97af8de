"""The workers' page in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from orchestrator.scheduling.told import EngineTold, GpuTold, MachineTold, MoveTold, WorkerTold
from orchestrator.scheduling.work import Depth, WorkerState
from orchestrator.scheduling.workforce import Standing
from tests.browser.conftest import House


async def test_the_servers_own_worker_is_seen_and_the_page_keeps_up(
    page: Page, house: House, accessible: Callable[[Page], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await page.goto("/dashboard/workers")
    await expect(page.locator("#work")).to_contain_text("embedded-")
    await accessible(page)

    async def look() -> Standing:
        engines = (EngineTold("clever", "asleep_1"), EngineTold("plain", "awake", None, 12))
        machine = MachineTold("box", 2**34, 2**36, (GpuTold("H100", 2**35, 2**36),))
        plan = (MoveTold("plain", "asleep_1"), MoveTold("clever", "awake"))
        told = WorkerTold("2026-01-02T03:04:05+00:00", 1, machine, engines, plan)
        worker = WorkerState("box-1", ("clever", "plain"), ("plain",), ("plain",), told=told)
        return Standing([worker], {"clever": Depth(3, 0), "gone": Depth(1, 0)}, {}, True)

    monkeypatch.setattr(house.parts.workforce, "look", look)
    await expect(page.locator("#work")).to_contain_text("box-1", timeout=10_000)
    await expect(page.locator("#work")).to_contain_text("load clever")
    await expect(page.locator("#work")).to_contain_text("no worker can serve it")
    await accessible(page)


async def test_hostile_names_do_not_run(
    page: Page, house: House, hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look() -> Standing:
        engines = (EngineTold(hostile, "awake", None, 1, experts=(hostile,)),)
        told = WorkerTold("", 1, MachineTold(hostile, 1, 2), engines, (MoveTold(hostile, hostile),))
        worker = WorkerState(hostile, (hostile,), told=told)
        return Standing([worker], {hostile: Depth(1, 1)}, {hostile: hostile}, True, hostile)

    monkeypatch.setattr(house.parts.workforce, "look", look)
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto("/dashboard/workers")
    await expect(page.locator("#work")).to_contain_text("window.__ran")
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
