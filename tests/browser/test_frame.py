"""What all pages share, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import House, Watch


async def test_the_login_takes_a_key_and_refuses_another(page: Page, watch: Watch) -> None:
    watch.expected.append("401")
    await page.get_by_role("button", name="Log out").click()
    await page.wait_for_url("**/dashboard/login*")
    await page.get_by_label("API key").fill("ctr_mistaken")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_text("is not known here")).to_be_visible()


async def test_the_theme_is_remembered(page: Page) -> None:
    root = page.locator("html")
    await page.get_by_role("button", name="Theme").click()
    await page.get_by_role("button", name="Theme").click()
    await expect(root).to_have_attribute("data-theme", "dark")
    await page.reload()
    await expect(root).to_have_attribute("data-theme", "dark")
    await expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()


async def test_on_a_phone_the_pages_are_behind_a_menu(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    link = page.get_by_role("link", name="Experts")
    await expect(link).to_be_hidden()
    await page.get_by_role("button", name="Menu").click()
    await expect(link).to_be_visible()
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide


async def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_the_login_has_no_serious_accessibility_fault(
    page: Page, house: House, accessible: Callable[[Page], Any]
) -> None:
    await page.goto("/dashboard/login")
    await accessible(page)
