"""Pictures of the dashboard for the documentation, of a server that runs (`make up`).

    .venv/bin/python -m benchmarks.dashboard.screenshots --out docs/images

Asks a few of the demo's questions first, so that there is something to see.  Needs Chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path

from openai import AsyncOpenAI
from playwright.async_api import Page, async_playwright

from orchestrator.settings import Settings

QUESTIONS = (
    "What is 34 plus 58?",
    "How many meters are 7 kilometers?",
    "Table employees(name, city, salary). Write SQL: show the name of every employee.",
    "If today is Tuesday, what day of the week will it be in 5 days?",
    "Extract name, age and city as JSON: Maria is 31 years old and lives in Lisbon.",
    "What is the capital of France?",
    "Describe Paris in two long sentences.",
)
PAGES = {
    "overview": "/dashboard",
    "experts": "/dashboard/experts",
    "expert": "/dashboard/experts/arithmetic",
    "skills": "/dashboard/skills",
    "requests": "/dashboard/requests",
}
SIZE = {"width": 1280, "height": 800}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    settings = Settings.load()
    key = settings.admin_key_file.read_text().strip()
    async with AsyncOpenAI(base_url=f"{settings.url}/v1", api_key=key) as client:
        for question in QUESTIONS:
            await client.chat.completions.create(
                model="coterie", messages=[{"role": "user", "content": question}], temperature=0
            )
    chromium = shutil.which("chromium")
    assert chromium, "no Chromium here: apt-get install -y chromium"
    args.out.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(
            base_url=settings.url, viewport={"width": SIZE["width"], "height": SIZE["height"]}
        )
        await log_in(page, key)
        for name, path in PAGES.items():
            await shoot(page, path, args.out / f"dashboard-{name}.png")
        await play(page, args.out / "dashboard-playground.png")
        await browser.close()


async def log_in(page: Page, key: str) -> None:
    await page.goto("/dashboard/login")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url("**/dashboard")


async def shoot(page: Page, path: str, file: Path) -> None:
    await page.goto(path)
    await page.wait_for_load_state("networkidle")
    await page.screenshot(path=file)


async def play(page: Page, file: Path) -> None:
    """A question in the playground, once its answer and its route are there."""
    await page.goto("/dashboard/playground")
    await page.get_by_label("Your message").fill("How many meters are 9 kilometers?")
    await page.get_by_role("button", name="Send").click()
    await page.wait_for_load_state("networkidle")
    await page.get_by_role("link", name="This request's page").wait_for()
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=file)


if __name__ == "__main__":
    asyncio.run(main())
