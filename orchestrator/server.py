"""Runs the API in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import uvicorn

from orchestrator.api import create_app
from orchestrator.bootstrap import build
from orchestrator.settings import Settings

GRACE_S = 10


async def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; then requests end first, engines last."""
    async with build(settings) as parts:
        config = uvicorn.Config(
            create_app(parts),
            host=settings.host,
            port=settings.port,
            log_level=settings.log_level.lower(),
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        with _announced(settings):
            await uvicorn.Server(config).serve()


@contextmanager
def _announced(settings: Settings) -> Iterator[None]:
    """Keeps ``server.json`` while this process serves, for `coterie down` and `status`."""
    path = settings.home / "server.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    me = psutil.Process()
    path.write_text(
        json.dumps({"pid": me.pid, "create_time": me.create_time(), "url": settings.url})
    )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def run(settings: Settings) -> None:
    """The blocking form of :func:`serve`."""
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    for chatty in ("httpx", "sentence_transformers"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # The graph library's hosted tracing must never be switched on by a stray variable.
    os.environ["LANGSMITH_TRACING"] = "false"
    asyncio.run(serve(settings))
