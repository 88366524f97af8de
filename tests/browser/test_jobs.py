"""Evaluations in a real browser: started, watched, read, compared, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from orchestrator.jobs.job import JobSpec
from tests.browser.conftest import House


async def start(page: Page, limit: int, *experts: str) -> str:
    """Starts an evaluation on the demo task with the form; its id."""
    await page.goto("/dashboard/jobs/new")
    await page.get_by_label("Strategy").select_option("all")
    await page.get_by_label("First questions").fill(str(limit))
    for name in experts:
        await page.get_by_role("checkbox", name=name).check()
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url("**/dashboard/jobs/job-*")
    return page.url.rpartition("/")[2]


async def test_an_evaluation_is_started_watched_and_its_report_read(
    page: Page, accessible: Callable[[Page], Any]
) -> None:
    await page.goto("/dashboard/jobs")
    await page.get_by_role("link", name="Start one on the demo task").click()
    await expect(page.get_by_label("Seed", exact=True)).to_have_value("0")
    await accessible(page)
    await start(page, 8, "clever")
    await expect(page.locator("#job")).to_contain_text("done", timeout=20_000)
    await expect(page.locator("#job")).to_contain_text("8 of 8")
    await page.locator("iframe.report").scroll_into_view_if_needed()
    report = page.frame_locator("iframe.report")
    await expect(report.get_by_role("heading", name="all", exact=True)).to_be_visible()
    styled = await report.locator("body").evaluate("b => getComputedStyle(b).fontFamily")
    assert "Times" not in styled  # its own style counts
    await accessible(page)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Questions (CSV)").click()
    assert (await download.value).suggested_filename.endswith("-items.csv")


async def test_two_runs_are_compared(page: Page, accessible: Callable[[Page], Any]) -> None:
    made = [await start(page, 4, name) for name in ("clever", "plain")]
    for id in made:
        await page.goto(f"/dashboard/jobs/{id}")
        await expect(page.locator("iframe.report")).to_be_attached(timeout=20_000)
    await page.goto("/dashboard/jobs")
    for id in made:
        await page.get_by_label(f"Compare {id}").check()
    await accessible(page)
    await page.get_by_role("button", name="Compare the ticked runs").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("2 runs of demo")
    await page.locator("iframe.report").scroll_into_view_if_needed()
    framed = page.frame_locator("iframe.report")
    await expect(framed.get_by_role("heading", name="2 runs compared")).to_be_visible()


async def test_a_job_is_cancelled_after_a_question_and_resumed(page: Page, house: House) -> None:
    await house.parts.jobs.aclose()  # nobody takes it up
    job = await house.parts.jobs.submit(JobSpec("demo", limit=5, experts=("clever",)))
    await page.clock.install()
    await page.goto(f"/dashboard/jobs/{job.id}")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    question = page.get_by_role("dialog")
    await page.clock.run_for(5_000)  # what is asked about stays, though the page keeps up
    await expect(question).to_contain_text("are kept")
    await question.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#job")).to_contain_text("queued")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await question.get_by_role("button", name="Yes").click()
    await expect(page.locator("#job")).to_contain_text("cancelled")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("#job")).to_contain_text("queued")


async def test_a_form_that_is_wrong_is_kept_and_told_of(page: Page, watch: Any) -> None:
    watch.expected.append("400")
    await page.goto("/dashboard/jobs/new")
    await page.get_by_label("Split").fill("sometimes")
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator("#notices")).to_contain_text("choose one of val, test")
    await expect(page.get_by_label("Split")).to_have_value("sometimes")


async def test_hostile_names_and_answers_do_not_run(page: Page, house: House, hostile: str) -> None:
    spec = JobSpec(
        "demo", limit=3, experts=("hostile",), strategy="all", policy={}, vote="majority"
    )
    job = await house.parts.jobs.submit(spec)
    async for _ in house.parts.jobs.watch(job.id, every_s=0.05):
        pass
    await page.goto("/dashboard/jobs")
    await page.goto(f"/dashboard/jobs/{job.id}")
    await page.locator("iframe.report").scroll_into_view_if_needed()
    await expect(page.frame_locator("iframe.report").locator("h1")).to_be_visible()
    await page.goto(f"/dashboard/jobs/{job.id}/report")
    await expect(page.locator("h1")).to_be_visible()
    await page.goto(f"/dashboard/jobs/{job.id}")


async def test_jobs_fit_a_phone(page: Page, house: House) -> None:
    job = await house.parts.jobs.submit(JobSpec("demo", limit=3, experts=("clever",)))
    await page.set_viewport_size({"width": 360, "height": 740})
    for path in ("/dashboard/jobs", f"/dashboard/jobs/{job.id}", "/dashboard/jobs/new"):
        await page.goto(path)
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), path
