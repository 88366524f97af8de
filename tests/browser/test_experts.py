"""Overview, experts and an expert's page, clicked through in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from coterie.db import utcnow
from coterie.types import Estimate, Profile
from skills.knowledge import Knowledge
from skills.snapshot import SnapshotInfo, pack
from tests.browser.conftest import HOSTILE, House, Watch

Accessible = Callable[[Page], Any]


async def graded(house: House) -> None:
    """Profiles of all three, at a hostile skill too."""
    profiles = [
        Profile(name, Estimate(rate, 0.05, 40), {"sql": Estimate(rate, 0.05, 40), HOSTILE: COIN})
        for name, rate in (("clever", 0.9), ("plain", 0.5), ("hostile", 0.2))
    ]
    archive = house.parts.archive
    made = SnapshotInfo("first", utcnow(), note=HOSTILE)
    await archive.snapshots.add(made, pack(Knowledge.of(profiles)))
    await house.parts.refresh()


COIN = Estimate(0.5, 0.1, 5)


async def written(house: House) -> None:
    while house.parts.traces._waiting:
        await asyncio.sleep(0.01)


async def test_an_expert_is_added_tested_changed_and_deleted(
    page: Page, house: House, watch: Watch, accessible: Accessible
) -> None:
    watch.expected.append("422")
    address = (await house.parts.registry.get("plain")).endpoint or ""
    house.said.answers["late"] = "I came later."
    await page.get_by_role("link", name="Experts", exact=True).click()
    await page.get_by_role("link", name="Add an expert").click()
    await accessible(page)
    await page.get_by_label("Name", exact=True).fill("late")
    await page.get_by_label("Endpoint", exact=True).fill("http://127.0.0.1:9")
    await page.get_by_label("Model", exact=True).fill("late")
    await page.get_by_label("Description").fill(HOSTILE)
    await page.get_by_role("button", name="Test connection").click()
    await expect(page.locator("#probe")).to_contain_text("No connection")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("alert").filter(has_text="cannot be used")).to_be_visible()
    await page.get_by_label("Endpoint", exact=True).fill(address)
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.wait_for_url("**/experts/late")
    await expect(page.locator("#expert-now")).to_contain_text("up")
    await page.get_by_role("button", name="Test: ask it").click()
    await expect(page.get_by_role("alert")).to_contain_text("I came later.")

    await page.get_by_role("link", name="Edit").click()
    await page.get_by_label("Tags").fill("night, owl")
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/experts/late")
    await expect(page.get_by_text("owl")).to_be_visible()

    await page.get_by_role("button", name="Drain").click()
    await expect(page.get_by_role("dialog")).to_contain_text("It answers nothing now")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#act-drain")).to_be_visible()
    await page.get_by_role("button", name="Drain").click()
    await page.get_by_role("button", name="Yes, do it").click()
    await expect(page.locator("#expert-now")).to_contain_text("disabled")

    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_contain_text("cannot be undone")
    await page.get_by_role("button", name="Yes, do it").click()
    await page.wait_for_url("**/experts")
    await expect(page.locator("#expert-late")).to_have_count(0)


async def test_the_table_is_searched_sorted_and_switched(
    page: Page, house: House, accessible: Accessible
) -> None:
    await graded(house)
    await page.goto("/dashboard/experts")
    await accessible(page)
    names = page.locator("table.experts tbody th a")
    await expect(names).to_have_count(3)
    await page.get_by_role("link", name="Success").click()
    await expect(names.first).to_have_text("clever")
    await page.get_by_label("Search").press_sequentially("plain")
    await expect(names).to_have_count(1)
    assert "text=plain" in page.url
    button = page.get_by_role("button", name="Disable plain")
    await button.click()
    await expect(page.get_by_role("dialog")).to_contain_text("can be enabled again")
    await page.get_by_role("button", name="Yes, do it").click()
    await expect(page.get_by_role("button", name="Enable plain")).to_be_visible()
    assert (await house.parts.registry.get("plain")).enabled is False
    await page.set_viewport_size({"width": 360, "height": 740})
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")


async def test_a_file_is_imported_after_a_look(
    page: Page, house: House, watch: Watch, accessible: Accessible
) -> None:
    watch.expected.append("400")
    await page.goto("/dashboard/experts/_import")
    text = page.get_by_label("or its text")
    await text.fill("experts: [{name: x, kind: nonsense}]")
    await page.get_by_role("button", name="Show what would change").click()
    await expect(page.get_by_role("alert")).to_contain_text("the file:1")
    address = (await house.parts.registry.get("plain")).endpoint
    entry = {"name": "filed", "kind": "openai", "model": "m", "endpoint": address}
    await text.fill(str({"experts": [{**entry, "description": "<img src=x onerror=__ran=1>"}]}))
    await page.get_by_role("button", name="Show what would change").click()
    await expect(page.locator("#preview")).to_contain_text("Added: 1")
    await accessible(page)
    await page.get_by_role("button", name="Apply").click()
    await page.get_by_role("button", name="Yes, do it").click()
    await expect(page.locator("#expert-filed")).to_be_visible()


async def test_an_experts_page_shows_skills_history_answers_and_charts(
    page: Page, house: House, accessible: Accessible
) -> None:
    await graded(house)
    for model in ("hostile", "hostile", "coterie"):
        assert (await house.chat(HOSTILE, model=model)).status_code == 200
    await written(house)
    await page.goto("/dashboard/experts/hostile")
    await expect(page.get_by_text("Declared in the server")).to_be_visible()
    await expect(page.locator("#skills")).to_contain_text("2 of 2 skills")
    await expect(page.locator("#history")).to_contain_text("first")
    await expect(page.locator("#answers")).to_contain_text("onerror")
    await expect(page.locator("canvas")).to_have_count(5)
    await page.get_by_label("Search skills").press_sequentially("sql")
    await expect(page.locator("#skills")).to_contain_text("1 of 2 skills")
    await page.get_by_label("And at the skill").fill("sql")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(
        page.get_by_role("region", name="Profile versions").locator("thead")
    ).to_contain_text("sql")
    await accessible(page)
    await page.set_viewport_size({"width": 360, "height": 740})
    assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth")


async def test_the_overview_goes_from_what_to_do_next_to_traffic(
    page: Page, house: House, accessible: Accessible
) -> None:
    await expect(page.get_by_role("heading", name="What to do next")).to_be_visible()
    await expect(page.locator("#overview-now")).to_contain_text("3 up")
    await graded(house)
    await house.chat()
    await written(house)
    await page.reload()
    await expect(page.get_by_role("heading", name="What to do next")).to_have_count(0)
    await expect(page.locator("canvas")).to_have_count(5)
    await page.get_by_role("link", name="Hour").click()
    await expect(page.get_by_role("link", name="Hour")).to_have_attribute("aria-current", "true")
    await page.get_by_text("As a table").first.click()
    await expect(page.get_by_role("region", name="Requests a minute, table")).to_be_visible()
    await accessible(page)
