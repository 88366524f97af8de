"""Coterie beside LiteLLM's proxy and vLLM's router, in front of one trivial upstream.

    PYTHONPATH=. .venv/bin/python benchmarks/gateway/compare.py [--seconds S] [--rounds N]

The first run installs the peers into a virtual environment of their own (``--peers``).  What is
measured is in README.md beside this.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gateway import peers
from benchmarks.gateway.peers import Gateway


@dataclass(frozen=True)
class Arm:
    """A gateway, what it is asked for, and how."""

    name: str
    gateway: Gateway
    model: str
    new: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="medians are over these")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--stream-connections", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "coterie-peers")
    parser.add_argument("--without", nargs="*", default=[], choices=["litellm", "vllm-router"])
    args = parser.parse_args()
    with ExitStack() as stack:
        arms = started(args, stack)
        cells = [(c, False) for c in args.connections] + [
            (c, True) for c in args.stream_connections
        ]
        found: dict[tuple[str, int, bool], list[dict[str, Any]]] = {}
        for _ in range(args.rounds):  # in turn, so that a slow minute hits all alike
            for connections, stream in cells:
                for arm in arms:
                    told = load(arm, connections, stream, args.seconds)
                    found.setdefault((arm.name, connections, stream), []).append(told)
        for connections, stream in cells:
            table(arms, connections, stream, found)
        for gateway in dict.fromkeys(arm.gateway for arm in arms[1:]):
            print(f"memory of {gateway.name} at the end: {gateway.memory_mib:.0f} MiB")


def started(args: argparse.Namespace, stack: ExitStack) -> list[Arm]:
    """Everybody, up and answering; the upstream alone first."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    commands = peers.environment(args.peers) if len(args.without) < 2 else Path()
    url = stack.enter_context(peers.upstream())
    three = dict.fromkeys((peers.MODEL, "second", "third"), url)
    own = stack.enter_context(peers.coterie(three, folder, COTERIE_MAX_EXPERTS="1"))
    arms = [
        Arm("upstream alone", stack.enter_context(peers.direct(url)), peers.MODEL),
        Arm("Coterie, expert by name", own, peers.MODEL),
        Arm("Coterie, routed, question seen", own, "coterie"),
        Arm("Coterie, routed, question new", own, "coterie", new=True),
    ]
    if "litellm" not in args.without:
        beside = stack.enter_context(peers.litellm(url, folder, commands))
        arms.append(Arm("LiteLLM", beside, peers.MODEL))
    if "vllm-router" not in args.without:
        beside = stack.enter_context(peers.vllm_router(url, commands))
        arms.append(Arm("vllm-router", beside, peers.MODEL))
    return arms


def load(arm: Arm, connections: int, stream: bool, seconds: float) -> dict[str, Any]:
    """What a process of clients saw; a failed request is the end."""
    url = f"{arm.gateway.url}/v1/chat/completions"
    command = [sys.executable, "benchmarks/gateway/load.py", url, arm.model]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    command += ["--stream"] * stream + ["--new"] * arm.new
    told: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    if told["failed"]:
        raise RuntimeError(f"{arm.name}: {told['failed']} requests failed: {told['failure']}")
    return told


def table(
    arms: list[Arm],
    connections: int,
    stream: bool,
    found: dict[tuple[str, int, bool], list[dict[str, Any]]],
) -> None:
    """One table, with ratios to LiteLLM where it ran."""
    rows = {a.name: found[a.name, connections, stream] for a in arms}

    def median(name: str, field: str) -> float:
        return statistics.median(told[field] for told in rows[name])

    rate = "chunks_per_s" if stream else "rps"
    kind = "streams of 64 pieces" if stream else "whole answers"
    print(f"\n{connections} connection(s), {kind}\n")
    per = "pieces/s" if stream else "requests/s"
    print(f"| | {per} | ÷ LiteLLM's | p50 ms | ÷ LiteLLM's | p99 ÷ p50 | first ms |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in rows:
        faster = slower = "–"
        if "LiteLLM" in rows:
            faster = f"{median(name, rate) / median('LiteLLM', rate):.1f}"
            slower = f"{median(name, 'p50_ms') / median('LiteLLM', 'p50_ms'):.2f}"
        p50, p99 = median(name, "p50_ms"), median(name, "p99_ms")
        first = f"{median(name, 'first_ms'):.2f}"
        print(
            f"| {name} | {median(name, rate):.0f} | {faster} | {p50:.2f} | {slower} "
            f"| {p99 / p50:.1f} | {first} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
