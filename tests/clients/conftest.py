"""A real server over a scripted one, for clients that others have written."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
import pytest_asyncio
import uvicorn
from numpy.typing import NDArray

from orchestrator.api import create_app
from orchestrator.bootstrap import build
from orchestrator.parts import Parts
from orchestrator.settings import Settings
from tests.clients.upstream import NAMES, Upstream, upstream


class Letters:
    """An encoder whose vectors tell how many of each of a few letters a text has."""

    longest = 32

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        counted = [[1.0, *(t.lower().count(c) for c in "etaoinsr")] for t in texts]
        vectors = np.array(counted, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


@dataclass
class Served:
    """A running server, its upstream, and clients of it."""

    url: str
    parts: Parts
    upstream: Upstream
    openai: openai.AsyncOpenAI
    http: httpx.AsyncClient

    @property
    def key(self) -> str:
        return self.parts.access.chat_key


@pytest.fixture
def served(_served: Served) -> Served:
    """The server, with nothing asked yet; ``speaker`` is recruited, the others are not."""
    _served.upstream.asked.clear()
    _served.upstream.pause_s = 0.0
    return _served


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _served(
    tmp_path_factory: pytest.TempPathFactory, _migrated_file: Path
) -> AsyncIterator[Served]:
    """One for all tests, whose loop is the session's: it takes a second to come up."""
    tmp_path = tmp_path_factory.mktemp("served")
    database = shutil.copy(_migrated_file, tmp_path / "coterie.sqlite")
    async with AsyncExitStack() as stack:
        said = await stack.enter_async_context(upstream())
        server = {"kind": "openai", "endpoint": said.url}
        entries = [
            {**server, "name": n, "model": n, "recruit": n == "speaker", "context_length": 4096}
            for n in NAMES
        ]
        embedder = {"kind": "embeddings", "model": "embedder-there", "prompt_price": 2}
        entries.append({**server, **embedder, "name": "embedder"})
        config = tmp_path / "experts.yaml"
        config.write_text(json.dumps({"experts": entries}))
        settings = Settings.load(
            {
                "COTERIE_HOME": str(tmp_path),
                "COTERIE_CONFIG": str(config),
                "DATABASE_URL": f"sqlite:///{database}",
                "COTERIE_REQUIRE_KEY": "1",
                "COTERIE_STREAM_COMMENT_S": "0.1",
            }
        )
        parts = await stack.enter_async_context(build(settings, encoder=Letters()))
        options = {"log_level": "warning", "lifespan": "off", "ws": "none"}
        web = uvicorn.Server(uvicorn.Config(create_app(parts), port=0, **options))  # type: ignore[arg-type]
        serving = asyncio.create_task(web.serve())
        while not web.started:
            await asyncio.sleep(0.005)
        url = f"http://127.0.0.1:{web.servers[0].sockets[0].getsockname()[1]}"
        key = parts.access.chat_key
        bearer = {"Authorization": f"Bearer {key}"}
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client,
            httpx.AsyncClient(base_url=url, timeout=10, headers=bearer) as http,
        ):
            yield Served(url, parts, said, client, http)
        web.should_exit = True
        await serving
