"""An upstream and one Coterie in front of it, each a process of its own on the loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx


@contextmanager
def upstream(code: str, *given: str) -> Iterator[int]:
    """The port of a server that ``code`` starts on ``argv[1]``; ``given`` are further arguments."""
    port = free_port()
    command = [sys.executable, "-c", code, str(port), *given]
    with process(command, f"http://127.0.0.1:{port}/"):
        yield port


@contextmanager
def server(folder: str, upstream_port: int, experts: Sequence[str]) -> Iterator[int]:
    """The port of Coterie with these experts, all of them served by the upstream."""
    port = free_port()
    config = Path(folder) / "experts.yaml"
    endpoint = f"http://127.0.0.1:{upstream_port}"
    entries = [
        {"name": name, "kind": "openai", "model": name, "endpoint": endpoint} for name in experts
    ]
    config.write_text(json.dumps({"experts": entries}))
    environ = {
        **os.environ,
        "COTERIE_HOME": folder,
        "COTERIE_PORT": str(port),
        "COTERIE_CONFIG": str(config),
        "COTERIE_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "orchestrator.cli"]
    subprocess.run([*command, "db", "upgrade"], env=environ, check=True, stdout=subprocess.DEVNULL)
    ready = f"http://127.0.0.1:{port}/health/readiness"
    with process([*command, "serve"], ready, environ):
        yield port


@contextmanager
def process(command: list[str], ready: str, environ: dict[str, str] | None = None) -> Iterator[int]:
    """Runs the command while the context lasts, which begins when ``ready`` answers; its id."""
    child = subprocess.Popen(command, env=environ)
    try:
        deadline = time.monotonic() + 300
        while not answers(ready):
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not start")
            time.sleep(0.1)
        yield child.pid
    finally:
        child.terminate()
        child.wait(timeout=30)


def answers(url: str) -> bool:
    """Whether a request to the URL succeeds."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
