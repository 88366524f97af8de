"""The heat map and what stands beside it, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import House


async def test_experts_are_profiled_by_one_click_and_the_map_is_read_by_keys(
    page: Page, house: House, accessible: Callable[[Page], Any]
) -> None:
    await page.goto("/dashboard/skills")
    await page.get_by_label("At most").fill("2")
    await page.get_by_role("button", name="Profile them").click()
    await page.get_by_role("link", name="Show what it found").click(timeout=15_000)
    await page.locator(".heat td[tabindex='0']").focus()
    await expect(page.locator("#readout")).to_contain_text("clever at everything")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#readout")).to_contain_text("hostile at")
    await page.get_by_label("Skill", exact=True).fill("algebra")
    await expect(page.locator(".heat tbody tr")).to_have_count(2)
    await accessible(page)
    await page.set_viewport_size({"width": 360, "height": 740})
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")


async def test_keywords_are_merged_and_split(page: Page, hostile: str) -> None:
    await page.goto("/dashboard/skills")
    await page.get_by_label("Read the keyword").fill(hostile[:60])
    await page.get_by_label("as the skill").fill("algebra")
    await page.get_by_role("button", name="Merge", exact=True).click()
    await expect(page.locator("#merges tbody tr")).to_have_count(1)
    await page.locator("#merges").get_by_role("button").click()
    await page.get_by_role("button", name="Yes, do it").click()
    await expect(page.locator("#merges")).to_contain_text("Nothing is merged")
