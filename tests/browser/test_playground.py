"""Chatting in a real browser, and the route beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import House

CODE = "def f():\n    return '<b>bold</b>'"


async def ask(page: Page, text: str, model: str = "coterie/all", beside: str = "") -> None:
    await page.get_by_label("Ask", exact=True).select_option(model)
    await page.get_by_label("and beside it").select_option(beside)
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")


async def test_an_answer_comes_with_its_route_and_a_conversation_goes_on(
    page: Page, house: House, accessible: Callable[[Page], Any]
) -> None:
    house.said.answers["clever"] = CODE
    await page.goto("/dashboard/playground")
    await ask(page, "Write f", "clever")
    pane = page.get_by_role("region", name="clever")
    said = pane.locator(".turn.assistant .said")
    await expect(said).to_have_text(CODE, use_inner_text=True)
    await expect(pane.get_by_role("status")).to_contain_text("Answered in")
    await expect(pane.locator(".route")).to_contain_text("asked for by name")
    await expect(pane.locator(".timeline")).to_contain_text("answered")
    await ask(page, "And g?", "clever")
    await expect(said).to_have_count(2)
    await expect(pane.get_by_role("status")).to_contain_text("Answered in")
    sent = house.said.asked[-1]["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "user"]
    assert sent[1]["content"] == CODE
    await page.get_by_text("Settings").click()
    await accessible(page)


async def test_two_strategies_answer_side_by_side_and_hostile_answers_stay_text(
    page: Page, house: House, hostile: str
) -> None:
    await page.goto("/dashboard/playground")
    await ask(page, hostile, "coterie/all", "hostile")
    for name in ("coterie/all", "hostile"):
        pane = page.get_by_role("region", name=name)
        await expect(pane.get_by_role("status")).to_contain_text("Answered in")
    told = page.get_by_role("region", name="hostile").locator(".turn.assistant .said")
    assert await told.text_content() == hostile
    every = page.get_by_role("region", name="coterie/all")
    await expect(every.locator(".timeline tbody th", has_text="plain")).to_be_visible()
    await every.locator("summary", has_text="hostile").click()
    await expect(every.locator("details[open] pre")).to_have_text(hostile)


async def test_stopping_ends_the_work_too(page: Page, house: House) -> None:
    house.said.answers["clever"] = " ".join(["word"] * 200)
    house.said.pause_s = 0.1
    await page.goto("/dashboard/playground")
    await ask(page, "Tell me all", "clever")
    await expect(page.locator(".turn.assistant .said")).to_contain_text("word")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_role("status")).to_contain_text("Stopped")
    for _ in range(50):
        if found := await house.parts.traces.recent(1):
            break
        await asyncio.sleep(0.05)
    assert found[0]["error"].startswith("the caller went away")
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()


async def test_it_fits_a_phone(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto("/dashboard/playground")
    await ask(page, "What is 6 times 7?")
    await expect(page.get_by_role("status")).to_contain_text("Answered in")
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
