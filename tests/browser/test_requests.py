"""Looking into a request in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import House


async def test_a_request_is_found_looked_into_judged_rerouted_and_erased(
    page: Page, house: House, hostile: str, accessible: Callable[[Page], Any]
) -> None:
    await house.chat(hostile, model="coterie/all")
    await page.goto("/dashboard/requests")
    for _ in range(20):
        if await page.locator("tbody tr").count():
            break
        await page.reload()
    await page.get_by_label("Skill").fill("arith")
    await expect(page.locator("#skills option")).to_have_count(1)
    await page.get_by_label("Skill").fill("")
    await expect(page.locator("#experts option[value=hostile]")).to_have_count(1)
    await page.get_by_label("Expert", exact=True).fill("hostile")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await accessible(page)
    await page.locator("tbody a").click()
    await expect(page.locator("pre.said").first).to_have_text(hostile)
    await expect(page.locator(".timeline")).to_contain_text("clever")
    await page.get_by_label("Note").fill(hostile)
    await page.get_by_role("button", name="Good").click()
    await expect(page.locator("#feedback")).to_contain_text("said by")
    await page.get_by_label("Strategy").select_option("best-single")
    await page.get_by_role("button", name="Route it again").click()
    await expect(page.locator("#what-if")).to_contain_text("Asked no more")
    await accessible(page)
    await page.set_viewport_size({"width": 360, "height": 740})
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    await page.get_by_role("button", name="Delete this request").click()
    await page.get_by_role("button", name="Yes, do it").click()
    await expect(page).to_have_url(f"{house.url}/dashboard/requests")
    await expect(page.get_by_text("No request passes")).to_be_visible()
