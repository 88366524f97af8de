"""A gateway with its real fleet over servers that misbehave, all of it on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from coterie.db import utcnow
from coterie.types import Estimate, Profile, Question, SkillWeight
from orchestrator.api import create_app
from orchestrator.api.connection import connections_of
from orchestrator.bootstrap import build
from orchestrator.observability.tracing import Tracing
from orchestrator.parts import Parts
from orchestrator.server import Server
from orchestrator.settings import Settings
from skills.infer import Inferred
from skills.knowledge import Knowledge
from skills.snapshot import SnapshotInfo, pack

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
WORDS = ("forty", " two", " it", " is")

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Act = Callable[["Call"], Awaitable[None]]


@dataclass
class Call:
    """One request as a server got it, and the connection to answer on."""

    path: str
    body: Mapping[str, Any]
    writer: Writer
    end: asyncio.Event
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))

    async def send(self, *pieces: bytes | str) -> None:
        for piece in pieces:
            self.writer.write(piece.encode() if isinstance(piece, str) else piece)
            await self.writer.drain()

    async def head(
        self, status: str = "200 OK", kind: str = "application/json", **more: str
    ) -> None:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in more.items())
        await self.send(
            f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{lines}connection: close\r\n\r\n"
        )

    async def says(
        self, text: str, status: str = "200 OK", kind: str = "application/json", **more: str
    ) -> None:
        await self.head(status, kind, content_length=str(len(text.encode())), **more)
        await self.send(text)


def completion(text: str = "".join(WORDS)) -> str:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": USAGE})


def event(**choice: Any) -> str:
    choices = [{"index": 0, "delta": {}, "finish_reason": None, **choice}]
    return f"data: {json.dumps({'id': '1', 'choices': choices})}\n\n"


async def answers(call: Call) -> None:
    """As it should be."""
    if not call.streams:
        await call.says(completion())
        return
    await call.head(kind="text/event-stream")
    await call.send(*(event(delta={"content": word}) for word in WORDS))
    await call.send(event(finish_reason="stop"))
    await call.send(
        f"data: {json.dumps({'id': '1', 'choices': [], 'usage': USAGE})}\n\ndata: [DONE]\n\n"
    )


@dataclass
class Upstream:
    """A server on the loopback that does with each call what ``act`` says.

    It answers ``/health`` unless ``healthy`` is false, and ``/metrics`` where it has some.
    """

    act: Act = answers
    healthy: bool = True
    metrics: str | None = None
    calls: list[Call] = field(default_factory=list)
    port: int = 0
    _listener: asyncio.Server | None = None
    _end: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens, at the same port as the last time."""
        self._end = asyncio.Event()
        self._listener = await asyncio.start_server(self._take, "127.0.0.1", self.port, limit=2**20)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listens no more, and drops every connection."""
        assert self._listener
        self._listener.close()
        self._end.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: Reader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(await self._read(reader, writer))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: Reader, writer: Writer) -> Call:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next((x for x in head.split("\r\n") if x.startswith("content-length:")), ":0")
        body = await reader.readexactly(int(length.partition(":")[2]))
        lines = (line.partition(": ") for line in head.split("\r\n")[1:])
        headers = {name: value for name, _, value in lines}
        return Call(head.split(" ")[1], json.loads(body or b"{}"), writer, self._end, headers)

    async def _serve(self, call: Call) -> None:
        if call.path == "/v1/chat/completions":
            self.calls.append(call)
            await self.act(call)
        elif call.path == "/health" and self.healthy:
            await call.says("")
        elif call.path == "/metrics" and self.metrics:
            await call.says(self.metrics, kind="text/plain")
        else:
            await call.says(
                "{}", "503 Service Unavailable" if not self.healthy else "404 Not Found"
            )


@asynccontextmanager
async def servers(*acts: Act) -> AsyncIterator[list[Upstream]]:
    """Servers that listen while the context lasts."""
    made = [Upstream(act) for act in acts]
    for one in made:
        await one.start()
    try:
        yield made
    finally:
        for one in made:
            await one.stop()


class Skilled:
    """Skill inference without a model."""

    async def infer(self, question: Question) -> Inferred:
        return Inferred((SkillWeight("sql", 1.0, 0.7),), np.array([0.6, 0.8], dtype=np.float32))


class Unsignalled(Server):
    """The server that listens to nobody's signals, and so may run in any thread."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Gateway:
    """A running gateway, and a client of it."""

    parts: Parts
    http: httpx.AsyncClient
    server: Server
    serving: asyncio.Task[None]

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.parts.access.admin_key}"}

    async def new_key(self, **fields: Any) -> str:
        """The text of a new key."""
        body = {"name": "ada", **fields}
        made = await self.http.post("/admin/keys", json=body, headers=self.admin)
        assert made.status_code == 201, made.text
        return str(made.json()["key"])

    async def chat(
        self,
        *,
        stream: bool = False,
        model: str = "coterie/best-single",
        key: str | None = None,
        **fields: Any,
    ) -> httpx.Response:
        messages = [{"role": "user", "content": "How many?"}]
        body = {"model": model, "messages": messages, "stream": stream, **fields}
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)

    async def record_of(self, response: httpx.Response) -> dict[str, Any]:
        id = response.headers["x-request-id"]
        async with asyncio.timeout(10):
            while (
                found := await self.http.get(f"/v1/routes/{id}", headers=self.admin)
            ).status_code != 200:
                await asyncio.sleep(0.01)
        return dict(found.json())


def text_of(response: httpx.Response) -> str:
    """What was answered, plain or streamed; an error event is told as such."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return str(response.json()["choices"][0]["message"]["content"])
    found = ""
    for line in response.text.splitlines():
        data = line.removeprefix("data: ")
        if line.startswith("data: ") and data != "[DONE]":
            body = json.loads(data)
            if "error" in body:
                return f"{found}|{body['error']['code']}"
            found += "".join(c["delta"].get("content") or "" for c in body["choices"])
    return found


@asynccontextmanager
async def gateway(
    home: Path,
    experts: Sequence[Mapping[str, Any]],
    *,
    database_url: str,
    tracing: Tracing | None = None,
    **environ: str,
) -> AsyncIterator[Gateway]:
    """The service over ``experts``, of which the first ranks highest, and so on."""
    config = home / "experts.yaml"
    entries = [{"kind": "openai", "model": "m", **expert} for expert in experts]
    config.write_text(json.dumps({"experts": entries}))
    settings = Settings.load(
        {
            "COTERIE_HOME": str(home),
            "COTERIE_CONFIG": str(config),
            "DATABASE_URL": database_url,
            "COTERIE_REQUEST_TIMEOUT_S": "0.3",
            "COTERIE_STREAM_COMMENT_S": "60",
            **environ,
        }
    )
    async with build(settings, inference=Skilled(), tracing=tracing) as parts:
        await _know(parts, [str(expert["name"]) for expert in experts])
        config_ = uvicorn.Config(
            create_app(parts),
            port=0,
            log_level="critical",
            lifespan="off",
            ws="none",
            http=connections_of(settings.client_timeout_s),
            timeout_graceful_shutdown=2,
        )
        server = Unsignalled(config_, parts.coterie.services.stopping, settings.shutdown_s)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            try:
                yield Gateway(parts, http, server, serving)
            finally:
                server.should_exit = True
                await serving


async def _know(parts: Parts, names: Sequence[str]) -> None:
    rates = {name: 0.95 - 0.3 * i / max(1, len(names) - 1) for i, name in enumerate(names)}
    profiles = [
        Profile(name, Estimate(rate, 0.02, 50), {"sql": Estimate(rate, 0.02, 50)})
        for name, rate in rates.items()
    ]
    made = SnapshotInfo("made-up", utcnow(), encoder=parts.settings.embedding_model)
    await parts.archive.snapshots.add(made, pack(Knowledge.of(profiles)))
    await parts.refresh()
