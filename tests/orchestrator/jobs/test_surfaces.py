"""A job over REST and on the command line is the same job."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from click.testing import Result
from typer.testing import CliRunner

from coterie.errors import EngineUnavailable
from coterie.types import Completion, Health, Question, Sampling, SkillWeight, Usage
from orchestrator.api import create_app
from orchestrator.bootstrap import build
from orchestrator.cli.commands import app
from orchestrator.settings import Settings
from skills.infer import Inferred

EXPERTS = ("good", "bad")


class Adder:
    """An expert that answers everything with 42; ``gate`` holds it up."""

    def __init__(self, name: str, gate: asyncio.Event) -> None:
        self.name, self.gate, self.asked = name, gate, 0

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        await self.gate.wait()
        self.asked += 1
        return Completion(self.name, "42", "stop", Usage(5, 1), 0.01)


class Fleet:
    """Adders that are always up."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.engines = {n: Adder(n, self.gate) for n in EXPERTS}

    def engine(self, name: str) -> Any:
        if name not in self.engines:
            raise EngineUnavailable(name, "it is starting")
        return self.engines[name]

    async def sync(self, experts: Any) -> None:
        return None

    async def health(self) -> dict[str, Health]:
        return {n: Health(True) for n in self.engines}

    async def probe(self, expert: Any) -> Health:
        return Health(True)

    def describe(self) -> list[object]:
        return []


class Skilled:
    async def infer(self, question: Question) -> Inferred:
        return Inferred((SkillWeight("sql", 1.0, 0.7),))


def settings_in(home: Path, url: str) -> Settings:
    entries = [
        {"name": n, "kind": "openai", "model": n, "endpoint": f"http://127.0.0.1:9/{n}"}
        for n in EXPERTS
    ]
    config = home / "experts.yaml"
    config.write_text(json.dumps({"experts": entries}))
    return Settings.load(
        {"COTERIE_HOME": str(home), "COTERIE_CONFIG": str(config), "DATABASE_URL": url}
    )


@asynccontextmanager
async def serving(settings: Settings, fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    async with build(settings, fleet=fleet, inference=Skilled()) as parts:
        parts.jobs.start()
        config = uvicorn.Config(
            create_app(parts), port=0, log_level="warning", lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"Authorization": f"Bearer {parts.access.admin_key}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20
        ) as http:
            yield http
        server.should_exit = True
        await task


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
async def http(tmp_path: Path, sqlite_url: str, fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings_in(tmp_path, sqlite_url), fleet) as client:
        yield client


async def events(http: httpx.AsyncClient, id: str) -> list[dict[str, Any]]:
    """Every progress until the stream ends."""
    found = []
    async with http.stream("GET", f"/v1/jobs/{id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                found.append(json.loads(line.removeprefix("data: ")))
    assert line == "" or line == "data: [DONE]"
    return found


async def test_a_job_over_rest(http: httpx.AsyncClient) -> None:
    body = {"task": "demo", "strategy": "all", "limit": 30}
    made = await http.post("/v1/jobs", json=body)
    assert made.status_code == 202
    id = made.json()["id"]
    seen = await events(http, id)
    assert seen[-1]["state"] == "done"
    assert seen[-1]["finished"] == 30
    found = (await http.get(f"/v1/jobs/{id}")).json()
    assert found["state"] == "done"
    assert found["progress"] == seen[-1]
    listed = (await http.get("/v1/jobs")).json()["data"]
    assert [job["id"] for job in listed] == [id]
    first = (await http.get(f"/v1/jobs/{id}/results", params={"limit": 20})).json()
    assert [r["position"] for r in first["data"]] == list(range(20))
    assert first["has_more"]
    rest = (await http.get(f"/v1/jobs/{id}/results", params={"after": 19})).json()
    assert (len(rest["data"]), rest["has_more"]) == (10, False)
    accept = {"Accept": "application/x-ndjson"}
    lines = (await http.get(f"/v1/jobs/{id}/results", headers=accept)).text.splitlines()
    assert [json.loads(line) for line in lines] == first["data"] + rest["data"]


async def test_a_job_is_cancelled_and_resumed(http: httpx.AsyncClient, fleet: Fleet) -> None:
    fleet.gate.clear()
    id = (await http.post("/v1/jobs", json={"task": "demo", "limit": 5})).json()["id"]
    refused = await http.post(f"/v1/jobs/{id}/resume")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "job_refused")
    assert (await http.post(f"/v1/jobs/{id}/cancel")).json()["state"] == "cancelled"
    assert (await http.post(f"/v1/jobs/{id}/cancel")).status_code == 409
    assert [e["state"] for e in await events(http, id)][-1] == "cancelled"
    fleet.gate.set()
    assert (await http.post(f"/v1/jobs/{id}/resume")).json()["state"] in ("queued", "running")
    assert (await events(http, id))[-1]["state"] == "done"


async def test_what_is_wrong_is_told_at_once(http: httpx.AsyncClient) -> None:
    for body, status, word in (
        ({"task": "nothing"}, 400, "no task 'nothing'"),
        ({"task": "demo", "strategy": "nothing"}, 404, "no strategy 'nothing'"),
        ({"task": "demo", "experts": ["zoe"]}, 400, "'zoe' is not registered"),
        ({"task": "demo", "limit": 0}, 400, "limit"),
        ({"task": "demo", "nonsense": 1}, 400, "nonsense"),
    ):
        found = await http.post("/v1/jobs", json=body)
        assert found.status_code == status, body
        assert word in found.json()["error"]["message"]
    assert (await http.get("/v1/jobs/none")).json()["error"]["code"] == "job_not_found"
    assert (await http.get("/v1/jobs/none/results")).status_code == 404
    assert (await http.get("/v1/jobs/none/events")).status_code == 404


async def test_jobs_need_the_admin_key(http: httpx.AsyncClient) -> None:
    http.headers.pop("Authorization")
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/x"), ("GET", "/x/events")):
        found = await http.request(method, f"/v1/jobs{path}", json={"task": "demo"})
        assert found.status_code == 401


async def test_a_server_goes_on_with_what_another_left(
    tmp_path: Path, sqlite_url: str, fleet: Fleet
) -> None:
    settings = settings_in(tmp_path, sqlite_url)
    fleet.gate.clear()
    async with serving(settings, fleet) as http:
        id = (await http.post("/v1/jobs", json={"task": "demo", "limit": 8})).json()["id"]
        await running(http, id)
    fleet.gate.set()
    async with serving(settings, fleet) as http:
        assert (await events(http, id))[-1]["state"] == "done"


async def running(http: httpx.AsyncClient, id: str) -> None:
    while (await http.get(f"/v1/jobs/{id}")).json()["state"] != "running":
        await asyncio.sleep(0.01)


# --- the command line ---------------------------------------------------------------------------


@pytest.fixture
def coterie(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command; experts are adders."""
    settings = settings_in(tmp_path, sqlite_url)
    for name, value in settings.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(
        "orchestrator.bootstrap.build", lambda s: build(s, fleet=Fleet(), inference=Skilled())
    )
    return lambda *args: CliRunner().invoke(app, list(args))


def ok(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return str(result.stdout)


def test_eval_run_writes_its_results(coterie: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ("eval", "run", "--task", "demo", "--strategy", "expert:good", "--limit", "12")
    told = ok(coterie(*args, "--out", str(out)))
    assert "accuracy" in told
    found = json.loads((out / "report.json").read_text())
    assert len(found["items"]) == 12
    assert found["info"]["experts"] == ["good"]
    again = json.loads(ok(coterie(*args, "--json")))
    assert again["info"]["id"] != found["info"]["id"]
    assert all(call["reused"] for item in again["items"] for call in item["calls"])
    listed = json.loads(ok(coterie("jobs", "list", "--json")))
    assert [job["id"] for job in listed] == [again["info"]["id"], found["info"]["id"]]
    assert "good" in ok(coterie("jobs", "show", found["info"]["id"]))
    assert found["info"]["id"] in ok(coterie("jobs", "list"))


def test_jobs_refuses_what_makes_no_sense(coterie: Any) -> None:
    ok(coterie("eval", "run", "--task", "demo", "--limit", "2"))
    [job] = json.loads(ok(coterie("jobs", "list", "--json")))
    assert "nothing is left to cancel" in str(coterie("jobs", "cancel", job["id"]).exception)
    assert "every item has its answer" in str(coterie("jobs", "resume", job["id"]).exception)
    assert "no job 'x'" in str(coterie("jobs", "show", "x").exception)
    wrong = coterie("eval", "run", "--task", "demo", "--policy", "most=many")
    assert "'many' is not a number" in str(wrong.exception)
