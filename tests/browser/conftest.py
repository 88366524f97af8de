"""A real Chromium before a real server: every test's page is logged in as the administrator.

Whatever a test does, it fails if a page had an error, broke the policy, or let hostile text run.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright, expect

from orchestrator.api import create_app
from orchestrator.bootstrap import build
from orchestrator.parts import Parts
from orchestrator.settings import Settings
from tests.browser.upstream import Said, upstream
from tests.orchestrator.conftest import Skilled

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
HOSTILE = (
    "<script>window.__ran = 1</script><img src=x onerror='window.__ran = 2'>"
    "<svg onload='window.__ran = 3'></svg>{{ 7 * 7 }}</textarea>\"'>"
    "<iframe src='javascript:parent.__ran = 4'></iframe>"
)
"""Goes into every text a stranger can write; were it to run, ``window.__ran`` would be set."""

expect.set_options(timeout=5_000)


@dataclass
class House:
    """A running server with experts behind real HTTP: ``clever``, ``plain`` and ``hostile``."""

    url: str
    parts: Parts
    said: Said
    http: httpx.AsyncClient
    admin: dict[str, str]

    async def chat(self, text: str = "What is 6 times 7?", **fields: Any) -> httpx.Response:
        """A question through the API; its ``x-request-id`` names the why-record."""
        body = {"model": "coterie", "messages": [{"role": "user", "content": text}], **fields}
        return await self.http.post("/v1/chat/completions", json=body)


@asynccontextmanager
async def open_house(home: Path, database_url: str, **environ: str) -> AsyncIterator[House]:
    """The server, as ``coterie serve`` runs it but for a fixed inference of skills."""
    said = Said(
        {
            "clever": "6 times 7 is 42. The answer is (A).",
            "plain": "It may be 42. The answer is (B).",
            "hostile": HOSTILE,
        }
    )
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(upstream(said))
        config = home / "experts.yaml"
        entries = [
            {
                "name": name,
                "kind": "openai",
                "model": name,
                "endpoint": address,
                "description": HOSTILE if name == "hostile" else f"a {name} one",
            }
            for name in said.answers
        ]
        config.write_text(json.dumps({"experts": entries}))
        settings = Settings.load(
            {
                "COTERIE_HOME": str(home),
                "COTERIE_CONFIG": str(config),
                "DATABASE_URL": database_url,
                **environ,
            }
        )
        parts = await stack.enter_async_context(build(settings, inference=Skilled()))
        parts.jobs.start()
        server = uvicorn.Server(
            uvicorn.Config(create_app(parts), port=0, log_level="warning", lifespan="off")
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=10))
        admin = {"Authorization": f"Bearer {parts.access.admin_key}"}
        try:
            yield House(url, parts, said, http, admin)
        finally:
            server.should_exit = server.force_exit = True
            await serving


@pytest.fixture
async def house(tmp_path: Path, sqlite_url: str) -> AsyncIterator[House]:
    async with open_house(tmp_path, sqlite_url) as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("no Chromium here: apt-get install -y chromium")
    return found


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield launched
        await launched.close()


@dataclass
class Watch:
    """What went wrong on a page; ``expected`` are parts of messages that a test provokes."""

    problems: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    @property
    def unexpected(self) -> list[str]:
        return [p for p in self.problems if not any(e in p for e in self.expected)]


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def page(browser: Browser, house: House, watch: Watch) -> AsyncIterator[Page]:
    """The overview, logged in as the administrator."""
    context = await browser.new_context(base_url=house.url, reduced_motion="reduce")
    context.set_default_timeout(5_000)
    opened = await context.new_page()
    opened.on("pageerror", lambda error: watch.problems.append(f"script: {error}"))
    opened.on("console", lambda said: _hear(said, watch))
    opened.on("dialog", lambda dialog: watch.problems.append(f"dialog: {dialog.message}"))
    await opened.goto("/dashboard/login")
    await opened.get_by_label("API key").fill(house.parts.access.admin_key)
    await opened.get_by_role("button", name="Log in").click()
    await opened.wait_for_url("**/dashboard")
    yield opened
    ran = await opened.evaluate("window.__ran")
    await context.close()
    assert ran is None, f"hostile text ran: {ran}"
    assert watch.unexpected == []


def _hear(said: Any, watch: Watch) -> None:
    if said.type == "error":  # a broken policy, a file that is not there, a script's own
        watch.problems.append(f"console: {said.text} ({said.location.get('url')})")


@pytest.fixture
def accessible() -> Callable[[Page], Any]:
    """Asserts that axe finds nothing serious on a page, in light and in dark."""

    async def check(page: Page) -> None:
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = (await Axe().run(page)).response["violations"]
            serious = [
                f"{v['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
                for v in found
                if v["impact"] in ("serious", "critical")
                for node in v["nodes"]
            ]
            assert serious == [], scheme

    return check


@pytest.fixture
def hostile() -> str:
    return HOSTILE
