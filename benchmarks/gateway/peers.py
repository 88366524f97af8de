"""The gateways Coterie is measured beside, each in front of the same upstream."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.serving import free_port, process

PEERS = ("litellm[proxy]==1.108.7", "vllm-router==0.1.17")
MODEL = "trivial"


@dataclass(frozen=True)
class Gateway:
    """Where it answers, and the process it is."""

    name: str
    url: str
    pid: int

    @property
    def memory_mib(self) -> float:
        """What it and its children hold (unique set size)."""
        own = psutil.Process(self.pid)
        held = [p.memory_full_info().uss for p in (own, *own.children(recursive=True))]
        return sum(held) / 2**20


def environment(folder: Path) -> Path:
    """The folder of commands of the peers' own virtual environment, made if it is not there."""
    commands = folder / "bin"
    if not (commands / "litellm").exists() or not (commands / "vllm-router").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([commands / "python", "-m", "pip", "install", "-q", *PEERS], check=True)
    return commands


@contextmanager
def upstream(*given: str) -> Iterator[str]:
    """The URL of the trivial server; ``given`` are its options."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "benchmarks/gateway/upstream.py", str(port), *given]
    with process(command, url):
        yield url


@contextmanager
def direct(upstream_url: str) -> Iterator[Gateway]:
    """No gateway at all: the bound."""
    yield Gateway("upstream alone", upstream_url, os.getpid())


@contextmanager
def coterie(upstreams: Mapping[str, str], folder: Path, **settings: str) -> Iterator[Gateway]:
    """One process of Coterie with experts of these names at these URLs."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = folder / "experts.yaml"
    experts = [
        {"name": name, "kind": "openai", "model": MODEL, "endpoint": url}
        for name, url in upstreams.items()
    ]
    config.write_text(json.dumps({"experts": experts}))
    environ = {
        **os.environ,
        "COTERIE_HOME": str(folder),
        "COTERIE_PORT": str(port),
        "COTERIE_CONFIG": str(config),
        "COTERIE_LOG_LEVEL": "warning",
        **settings,
    }
    command = [sys.executable, "-m", "orchestrator.cli", "serve"]
    with process(command, f"{url}/health/readiness", environ) as pid:
        yield Gateway("Coterie", url, pid)


@contextmanager
def litellm(upstream_url: str, folder: Path, commands: Path) -> Iterator[Gateway]:
    """LiteLLM's proxy: one worker, no database."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = folder / "litellm.yaml"
    served = {"model": f"openai/{MODEL}", "api_base": f"{upstream_url}/v1", "api_key": "none"}
    config.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": served}]}))
    command = [str(commands / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    keyless = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"  # as Coterie on the loopback
    environ = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    environ[keyless] = "true"
    with process(command, f"{url}/health/liveliness", environ) as pid:
        yield Gateway("LiteLLM", url, pid)


@contextmanager
def vllm_router(upstream_url: str, commands: Path) -> Iterator[Gateway]:
    """vLLM's router, which balances load and does no more."""
    port, metrics = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(commands / "vllm-router"), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--worker-urls", upstream_url, "--policy", "round_robin"]
    command += ["--prometheus-port", str(metrics), "--log-level", "error"]
    with process(command, f"{url}/health") as pid:
        yield Gateway("vllm-router", url, pid)
