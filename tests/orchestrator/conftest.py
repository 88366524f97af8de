"""Experts that do what a test tells them, behind the real Engine port."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import uvicorn
from click.testing import Result
from typer.testing import CliRunner

from coterie.db import utcnow
from coterie.errors import EngineError, EngineUnavailable
from coterie.ports import Engine
from coterie.types import (
    Chunk,
    Completion,
    Estimate,
    Expert,
    ExpertKind,
    Health,
    Profile,
    Question,
    Sampling,
    SkillWeight,
    Usage,
)
from orchestrator.api import create_app
from orchestrator.bootstrap import build
from orchestrator.cli.commands import app
from orchestrator.inquiry import Inquiry
from orchestrator.parts import Parts
from orchestrator.roster import Roster, Snapshot
from orchestrator.settings import Settings
from skills.infer import Inferred
from skills.knowledge import Knowledge
from skills.snapshot import SnapshotInfo, pack


@dataclass
class Scripted:
    """An engine that says ``text``, or fails with ``error`` after ``words`` streamed words.

    Calls after the first are ``then``'s, where there is one: a writer's, say.  ``entry`` is what
    else its entry says; ``logprobs``: it tells them where it is asked to.
    """

    name: str
    text: str = "42"
    error: EngineError | None = None
    words: int = 0
    prompt_tokens: int = 5
    hang: bool = False
    then: Scripted | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)
    logprobs: bool = True
    asked: list[Question] = field(default_factory=list)
    samplings: list[Sampling] = field(default_factory=list)
    cancelled: bool = False

    async def _enter(self, question: Question, sampling: Sampling) -> None:
        self.asked.append(question)
        self.samplings.append(sampling)
        if self.hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    async def complete(self, question: Question, sampling: Sampling) -> Completion:
        if self.then and self.asked:
            return await self.then.complete(question, sampling)
        await self._enter(question, sampling)
        if self.error:
            raise self.error
        return Completion(
            self.name,
            self.text,
            "stop",
            self._usage(),
            0.01,
            {"role": "assistant", "content": self.text},
            self._logprobs(self.text, sampling),
        )

    async def stream(self, question: Question, sampling: Sampling) -> AsyncGenerator[Chunk, None]:
        if self.then and self.asked:
            async for chunk in self.then.stream(question, sampling):
                yield chunk
            return
        words = self.text.split(" ")
        for i, word in enumerate(words):
            if self.error and i == self.words:
                raise self.error
            piece = word if i == 0 else f" {word}"
            yield Chunk(piece, logprobs=self._logprobs(piece, sampling))
            if i == 0:
                await self._enter(question, sampling)
        if self.error:
            raise self.error
        yield Chunk(finish_reason="stop", usage=self._usage())

    def _logprobs(self, text: str, sampling: Sampling | None) -> dict[str, Any] | None:
        if not (self.logprobs and sampling and sampling.extra.get("logprobs")):
            return None
        words = text.split(" ") if text.strip() == text else [text]
        tokens = [w if i == 0 else f" {w}" for i, w in enumerate(words)]
        return {"content": [{"token": t, "logprob": -0.5, "top_logprobs": []} for t in tokens]}

    def _usage(self) -> Usage:
        return Usage(self.prompt_tokens, len(self.text.split()))

    async def count_tokens(self, question: Question) -> int:
        return self.prompt_tokens

    async def health(self) -> Health:
        return Health(True)


class ScriptedFleet:
    """The fleet's port over scripted engines; those not there are starting."""

    def __init__(self, engines: Sequence[Scripted]) -> None:
        self.engines = {e.name: e for e in engines}
        self.synced: tuple[str, ...] = ()
        self.unreachable: set[str] = set()

    def engine(self, name: str) -> Engine:
        if name not in self.engines:
            raise EngineUnavailable(name, "it is starting")
        return self.engines[name]

    async def sync(self, experts: Sequence[Expert]) -> None:
        self.synced = tuple(e.name for e in experts if e.enabled)

    async def health(self) -> Mapping[str, Health]:
        return {
            n: Health(n in self.engines, "" if n in self.engines else "it is starting")
            for n in self.synced
        }

    async def probe(self, expert: Expert) -> Health:
        if expert.name in self.unreachable:
            return Health(False, "connection refused")
        return Health(True)

    def describe(self) -> Sequence[object]:
        return []


class Skilled:
    """Skill inference that finds the skills a test names; remembers what it has read."""

    def __init__(self, *skills: SkillWeight) -> None:
        self.skills = skills or (SkillWeight("sql", 1.0, 0.7),)
        self.read: list[str] = []

    async def infer(self, question: Question) -> Inferred:
        self.read.append(question.text)
        return Inferred(self.skills, np.array([0.6, 0.8], dtype=np.float32))


def make_expert(name: str, **fields: object) -> Expert:
    return Expert(name, ExpertKind.OPENAI, name, endpoint=f"http://127.0.0.1:1/{name}", **fields)  # type: ignore[arg-type]


def make_profile(name: str, rate: float) -> Profile:
    return Profile(name, Estimate(rate, 0.05, 50), {"sql": Estimate(rate, 0.05, 50)})


def make_roster(
    engines: Sequence[Scripted], rates: Mapping[str, float], **fields: object
) -> Roster:
    experts = [make_expert(e.name, **fields) for e in engines]
    known = Knowledge.of([make_profile(n, r) for n, r in rates.items()], name="made-up")
    return Roster(ScriptedFleet(engines), Snapshot.of(experts, known))


@dataclass
class Service:
    """A running server, its parts, and clients of it."""

    url: str
    parts: Parts
    fleet: ScriptedFleet
    openai: openai.AsyncOpenAI
    http: httpx.AsyncClient

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.parts.access.admin_key}"}

    def anew(self, engines: Sequence[Scripted]) -> Service:
        """The same server over these engines, as if nobody had been asked before."""
        self.fleet.engines = {e.name: e for e in engines}
        self.parts.coterie.services.holders._holders.clear()
        return self

    async def chat(self, **fields: Any) -> httpx.Response:
        body = {
            "model": "coterie",
            "messages": [{"role": "user", "content": "How many?"}],
            **fields,
        }
        return await self.http.post("/v1/chat/completions", json=body)


@asynccontextmanager
async def running(
    home: Path, database_url: str, engines: Sequence[Scripted], **environ: str
) -> AsyncIterator[Service]:
    config = home / "experts.yaml"
    entries = [
        {
            "name": e.name,
            "kind": "openai",
            "model": e.name,
            "endpoint": f"http://127.0.0.1:9/{e.name}",
            **getattr(e, "entry", {}),
        }
        for e in engines
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
    fleet = ScriptedFleet(engines)
    async with build(settings, fleet=fleet, inference=Skilled()) as parts:
        config_ = uvicorn.Config(
            create_app(parts), port=0, log_level="warning", lifespan="off", ws="none"
        )
        server = uvicorn.Server(config_)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
            httpx.AsyncClient(base_url=url, timeout=10) as http,
        ):
            yield Service(url, parts, fleet, client, http)
        server.should_exit = True
        await serving


@asynccontextmanager
async def knowing(
    home: Path, database: Path, engines: Sequence[Scripted], rates: Mapping[str, float]
) -> AsyncIterator[Service]:
    """A running server that knows how good its experts are, over a copy of ``database``."""
    url = f"sqlite:///{shutil.copy(database, home / 'coterie.sqlite')}"
    async with running(home, url, engines) as found:
        if rates:
            known = Knowledge.of([make_profile(n, r) for n, r in rates.items()])
            made = SnapshotInfo("made-up", utcnow(), encoder=found.parts.settings.embedding_model)
            await found.parts.archive.snapshots.add(made, pack(known))
        await found.parts.refresh()
        yield found


@dataclass
class Kit:
    """What tests of the service build with."""

    engine: type[Scripted] = Scripted
    fleet: type[ScriptedFleet] = ScriptedFleet
    inference: type[Skilled] = Skilled
    expert: Callable[..., Expert] = make_expert
    profile: Callable[[str, float], Profile] = make_profile
    roster: Callable[..., Roster] = make_roster
    running: Callable[..., Any] = running
    knowing: Callable[..., Any] = knowing
    engine_only: bool = False

    @staticmethod
    def inquiry(text: str = "How many?", **fields: object) -> Inquiry:
        given: dict[str, object] = {
            "id": "test",
            "model": "coterie",
            "question": Question.of(text),
            "sampling": Sampling(),
            "strategy": "symbolic",
            **fields,
        }
        return Inquiry(**given)  # type: ignore[arg-type]


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture(scope="session")
def shared_kit() -> Kit:
    """For servers that many tests share; nobody changes it."""
    return Kit()


@pytest.fixture(params=[False, True], ids=["straight", "langgraph"])
def both_ways(kit: Kit, request: pytest.FixtureRequest) -> None:
    """Everything holds whether or not LangGraph takes the steps."""
    kit.engine_only = request.param


@pytest.fixture
async def service(tmp_path: Path, sqlite_url: str) -> AsyncIterator[Service]:
    engines = [Scripted("good", "forty two it is"), Scripted("bad", "41")]
    async with running(tmp_path, sqlite_url, engines) as found:
        known = Knowledge.of([make_profile("good", 0.95), make_profile("bad", 0.2)])
        made = SnapshotInfo("made-up", utcnow(), encoder=found.parts.settings.embedding_model)
        await found.parts.archive.snapshots.add(made, pack(known))
        await found.parts.refresh()
        yield found


@pytest.fixture
def coterie(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command against the service, off the event loop that serves it."""
    settings = service.parts.settings
    monkeypatch.setenv("COTERIE_HOME", str(settings.home))
    monkeypatch.setenv("COTERIE_CONFIG", str(settings.config))
    monkeypatch.setenv("COTERIE_PORT", service.url.rsplit(":", 1)[1])
    monkeypatch.setenv("COLUMNS", "200")

    async def run(*args: str, stdin: str | None = None) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(args), input=stdin)

    return run
