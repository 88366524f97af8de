"""How long whole pages take, of a real server over a database that load.py filled.

    PYTHONPATH=. .venv/bin/python benchmarks/dashboard/pages.py DATABASE_URL

What is measured is in README.md beside this.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.dashboard.made_up import EXPERTS, KEYS, SKILLS
from benchmarks.serving import free_port, process
from orchestrator import schema

TIMES = 20
EXPERT, RARE = EXPERTS[0], EXPERTS[-1]
PAGES = {
    "overview, a day": "/dashboard",
    "overview, an hour": "/dashboard?range=hour",
    "overview, 30 days": "/dashboard?range=month",
    "experts": "/dashboard/experts",
    "experts, searched": "/dashboard/experts?q=expert-01",
    "an expert": f"/dashboard/experts/{EXPERT}",
    "its skills": f"/dashboard/experts/{EXPERT}/_skills?q=skill+01",
    "its history": f"/dashboard/experts/{EXPERT}/_history",
    "a rare expert": f"/dashboard/experts/{RARE}",
    "skills": "/dashboard/skills",
    "skills where experts differ": "/dashboard/skills?order=spread",
    "skills that lack data": "/dashboard/skills?order=lacking",
    "skills, searched": "/dashboard/skills?q=01&row=25&column=12",
    "playground": "/dashboard/playground",
    "requests": "/dashboard/requests",
    "requests of a rare expert": f"/dashboard/requests?expert={RARE}",
    "requests of a rare skill": f"/dashboard/requests?skill={SKILLS[-1].replace(' ', '+')}",
    "requests of a skill and an expert": (
        f"/dashboard/requests?expert={EXPERT}&skill={SKILLS[0].replace(' ', '+')}"
    ),
    "requests that failed, of a key": f"/dashboard/requests?outcome=failed&key={KEYS[7]}",
    "dear requests (none)": "/dashboard/requests?cost_from=0.05",
    "a request": "",  # found in the list
    "jobs": "/dashboard/jobs",
    "a new job": "/dashboard/jobs/new",
    "workers": "/dashboard/workers",
    "keys": "/dashboard/keys",
    "audit log": "/dashboard/audit",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="DATABASE_URL")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(measure(args.url, Path(home)))


async def measure(database: str, home: Path) -> None:
    """Prints a table; ends with the first page that is refused."""
    await schema.upgrade(database)
    url = f"http://127.0.0.1:{(port := free_port())}"
    (home / "experts.yaml").write_text("experts: []\n")
    environ = os.environ | {
        "COTERIE_HOME": str(home),
        "COTERIE_PORT": str(port),
        "COTERIE_CONFIG": str(home / "experts.yaml"),
        "COTERIE_TRACE_LIMIT": "10000000",
        "COTERIE_LOG_LEVEL": "ERROR",
        "DATABASE_URL": database,
    }
    command = [sys.executable, "-m", "orchestrator.cli", "serve"]
    with process(command, f"{url}/health/liveliness", environ):
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
            await log_in(http, (home / "admin.key").read_text().strip())
            pages = {**PAGES, "a request": await _some_request(http)}
            print("| page | first ms | median ms | longest ms | KB |\n|---|---:|---:|---:|---:|")
            for name, path in pages.items():
                first, took, size = await timed(http, path)
                row = f"{first:.0f} | {statistics.median(took):.0f} | {max(took):.0f} | {size:.0f}"
                print(f"| {name} | {row} |", flush=True)


async def log_in(http: httpx.AsyncClient, key: str) -> None:
    landed = await http.post("/dashboard/login", data={"key": key})
    assert landed.status_code == 303, landed.text


async def timed(http: httpx.AsyncClient, path: str) -> tuple[float, list[float], float]:
    """Milliseconds of the first view and of :data:`TIMES` more, and the page's size."""
    found, size = [], 0.0
    for _ in range(TIMES + 1):
        started = time.perf_counter()
        answer = await http.get(path)
        found.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
        size = len(answer.content) / 1000
    return found[0], found[1:], size


async def _some_request(http: httpx.AsyncClient) -> str:
    listed = await http.get("/dashboard/requests")
    link = re.search(r'href="(/dashboard/requests/[0-9a-f]{32})"', listed.text)
    assert link, "no request is listed: fill the database with load.py"
    return link[1]


if __name__ == "__main__":
    main()
