"""Keys and the audit log in a real browser: made, shown once, limited, revoked, looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from tests.browser.conftest import House


async def make(page: Page, name: str) -> str:
    """Makes a key with the form; its text."""
    await page.goto("/dashboard/keys")
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_role("button", name="Make the key").click()
    shown = page.get_by_label("The new key")
    await expect(shown).to_be_visible()
    return await shown.input_value()


async def test_a_key_is_made_shown_once_limited_and_revoked(
    page: Page, house: House, accessible: Callable[[Page], Any]
) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.goto("/dashboard/keys")
    await expect(page.get_by_text("No keys yet.")).to_be_visible()
    await accessible(page)
    text = await make(page, "ada")
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == text
    assert text not in page.url
    await expect(page.get_by_label("Name", exact=True)).to_have_value("")
    headers = {"Authorization": f"Bearer {text}"}
    assert (await house.http.get("/v1/models", headers=headers)).status_code == 200
    await page.get_by_role("button", name="I have it").click()
    await page.get_by_role("link", name="ada").click()
    assert text not in await page.content()
    await page.get_by_label("Requests a minute").fill("3")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved")).to_be_visible()
    await accessible(page)
    await page.get_by_role("button", name="Revoke").click()
    question = page.get_by_role("dialog")
    await expect(question).to_contain_text("is refused from now on")
    await question.get_by_role("button", name="Yes").click()
    await expect(page.locator("#key")).to_contain_text("revoked for good")
    assert (await house.http.get("/v1/models", headers=headers)).status_code == 401
    await page.get_by_role("link", name="What was changed about it").click()
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(3)
    await expect(rows.nth(0)).to_contain_text("key.revoke")
    await expect(rows.nth(1)).to_contain_text("rates")
    await accessible(page)


async def test_a_key_is_gone_from_the_page_when_one_comes_back(page: Page) -> None:
    text = await make(page, "eve")
    await page.goto("/dashboard/audit")
    await page.go_back()
    assert text not in await page.content()
    await expect(page.get_by_label("The new key")).to_have_count(0)


async def test_hostile_names_do_not_run(page: Page, hostile: str) -> None:
    await make(page, hostile[:100])
    await page.locator("#keys a").first.click()
    await page.get_by_role("link", name="What was changed about it").click()
    await expect(page.locator("tbody")).to_contain_text("window.__ran")
    await page.get_by_label("Who").fill(hostile)
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_text("No such change.")).to_be_visible()


async def test_keys_fit_a_phone(page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await make(page, "a name that is rather long for a phone")
    for path in ("/dashboard/keys", "/dashboard/audit"):
        await page.goto(path)
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), path
